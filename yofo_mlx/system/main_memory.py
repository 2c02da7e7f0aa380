"""The memory of this machine, or of the part of it that this process may have; and what is free."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from yofo_mlx.system import control_group
from yofo_mlx.system.darwin import free_share

MEMINFO = Path("/proc/meminfo")


def main_memory() -> int:
    """Return the bytes of memory that this process could have at most."""
    return min([_size(), *control_group.limits()])


def free_memory() -> int | None:
    """Return the bytes that this process could take more of now, None where nothing tells it.

    What the system keeps of files counts as free; what it would have to swap out does not.
    """
    if sys.platform == "darwin":
        share = free_share()
        return None if share is None else int(_size() * share)
    with suppress(OSError, ValueError):
        for line in MEMINFO.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                available = 1024 * int(line.split()[1])
                return min([available, *control_group.free(_size())])
    return None


def _size() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
