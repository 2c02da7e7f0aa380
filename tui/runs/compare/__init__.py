"""Runs side by side: what they learnt, in what they differ, and what came of it."""

__all__ = ["screen"]
