"""The place of data sets: what there is, what is wrong with it, what it looks like."""

__all__ = ["screen"]
