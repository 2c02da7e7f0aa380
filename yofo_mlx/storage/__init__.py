"""Storage: what yofo and the hub's client keep on the disk, how large it is, and what can go."""

__all__ = ["disk", "undo"]
