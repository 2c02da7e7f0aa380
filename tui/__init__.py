"""The terminal app: data sets, runs and prompting, driven by run folders and the session."""
