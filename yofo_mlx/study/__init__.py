"""A study: the arms of the paper's comparison, trained, measured and put side by side."""

__all__ = ["arms", "making", "page", "plan", "results", "texts"]
