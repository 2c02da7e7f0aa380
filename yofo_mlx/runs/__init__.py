"""Runs: what is on disk of them, and the processes that write it."""
