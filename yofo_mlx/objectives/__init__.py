"""Objectives: what is summed of the losses of a batch's targets, one a file."""

__all__ = ["smoothing", "sums"]
