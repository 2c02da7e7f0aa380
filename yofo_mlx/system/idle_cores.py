"""How many cores nobody else needs, from what the kernel counted since an earlier look (Linux)."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
LEAST_S = 0.5  # chosen: the kernel counts hundredths of a second


@dataclass(frozen=True)
class Look:
    """Seconds since some moment: by the clock, idle over all cores, worked by this process."""

    clock: float
    idle: float
    own: float


def look() -> Look | None:
    """Return the counts of now; None where the kernel does not tell them."""
    try:
        words = STAT.read_text(encoding="ascii").split("\n", 1)[0].split()
        idle, waiting = int(words[4]), int(words[5])
    except (OSError, ValueError, IndexError):
        return None
    ticks: int = os.sysconf("SC_CLK_TCK")
    return Look(time.monotonic(), (idle + waiting) / ticks, time.process_time())


def idle_cores(before: Look | None, now: Look | None) -> int:
    """Return the cores that others left free between two looks, at most those we may use."""
    if before is None or now is None or now.clock - before.clock < LEAST_S:
        return 1
    free = (now.idle - before.idle + now.own - before.own) / (now.clock - before.clock)
    return max(1, min(round(free), usable_cores()))


def usable_cores() -> int:
    """Return how many cores this process may use at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return max(1, min(cores or 1, int(quota) // int(period)))
    except (OSError, ValueError):  # "max": no quota
        return cores or 1
