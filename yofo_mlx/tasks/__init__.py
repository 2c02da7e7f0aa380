"""Tasks: labelled examples, read from files, the hub and the embedded suite."""
