"""Training: one update after another, from a fresh adapter to the best one."""

__all__ = [
    "beginning",
    "checkpoints",
    "extension",
    "following",
    "loop",
    "moved",
    "provenance",
    "ranks",
    "setup",
    "stop",
    "telling",
    "threads",
]
