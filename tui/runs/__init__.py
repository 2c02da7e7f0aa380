"""The place of runs: how they stand, how they went, new ones."""

__all__ = ["new", "screen", "standing", "view"]
