"""The first start: what to do while there is no run, and what this machine can do."""

__all__ = ["screen"]
