"""The embedded offline model and its task suite."""
