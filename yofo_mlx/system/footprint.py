"""What the whole process takes, of which MLX's arrays are a part."""

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from yofo_mlx.system import darwin

_STATM = Path("/proc/self/statm")  # in pages: size, resident, ...


def footprint() -> int:
    """Return its bytes: `phys_footprint` on a Mac, the resident set on Linux."""
    if sys.platform == "darwin":
        found = darwin.footprint()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if found is None else found
    with suppress(OSError):
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
