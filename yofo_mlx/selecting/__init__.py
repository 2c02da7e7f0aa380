"""Selecting: which training rows are worth training on, by a score of each."""

__all__ = ["reader", "select", "settings"]
