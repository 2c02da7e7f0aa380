"""What macOS tells of memory by its C library. From Apple's headers; not tried on a Mac yet."""

import ctypes
import os
from contextlib import suppress

# struct rusage_info_v0 of <sys/resource.h>: a UUID, then ten 64-bit figures.
_INFO_V0 = 0
_FIGURES, _UUID_BYTES, _FOOTPRINT = 10, 16, 7


class _Usage(ctypes.Structure):
    _fields_ = (("uuid", ctypes.c_uint8 * _UUID_BYTES), ("figures", ctypes.c_uint64 * _FIGURES))


def free_share() -> float | None:
    """Return how much of the memory is free, 0 to 1, as `memory_pressure -Q` tells it."""
    level, size = ctypes.c_int(), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    with suppress(OSError, AttributeError):
        ask = ctypes.CDLL(None).sysctlbyname
        name = b"kern.memorystatus_level"
        if ask(name, ctypes.byref(level), ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
            return level.value / 100
    return None


def footprint() -> int | None:
    """Return the bytes of this process as Activity Monitor counts them, compressed ones too."""
    usage = _Usage()
    with suppress(OSError, AttributeError):
        if ctypes.CDLL(None).proc_pid_rusage(os.getpid(), _INFO_V0, ctypes.byref(usage)) == 0:
            return int(usage.figures[_FOOTPRINT])
    return None
