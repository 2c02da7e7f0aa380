"""Training: one update after another, from a fresh adapter to the best one."""

__all__ = [
    "beginning",
    "checkpoints",
    "extension",
    "loop",
    "provenance",
    "setup",
    "stop",
    "telling",
]
