"""Whether `mlx.launch` started this process as one of several; MLX is not loaded to know it."""

import json
import os
from pathlib import Path

_LISTS = ("MLX_HOSTFILE", "MLX_IBV_DEVICES")  # files with an entry for each rank


def rank() -> int:
    """Return which of the processes this one is; 0 is the one that writes, or the only one."""
    return int(os.environ.get("MLX_RANK", 0)) if count() > 1 else 0


def count() -> int:
    """Return how many processes were started together."""
    if "MLX_RANK" not in os.environ:
        return 1
    if size := os.environ.get("MLX_WORLD_SIZE"):
        return int(size)
    for name in _LISTS:
        if path := os.environ.get(name):
            try:
                return max(1, len(json.loads(Path(path).read_text(encoding="utf-8"))))
            except (OSError, ValueError):
                return 1  # of one host the file is empty
    return 1


def is_follower() -> bool:
    """Tell whether another process decides what is done, and writes what comes of it."""
    return rank() > 0
