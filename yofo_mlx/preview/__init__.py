"""Data sets and recipes looked at from a process of its own, before anything is trained."""

__all__ = ["client", "episode", "facts", "plan"]
