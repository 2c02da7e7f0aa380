"""How much memory this machine can give a run."""

import os
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx.system.environment import on_cpu

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
# Chosen, not measured: the rest is for everything else on the machine, or on the device for CUDA's
# own context and for what fragments. `memory.limit_gb` says otherwise.
CPU_SHARE = 0.8
CUDA_SHARE = 0.9


@dataclass(frozen=True)
class MemoryLimit:
    """Bytes that a run may use, and where the number comes from."""

    nbytes: int
    source: str


def memory_limit(limit_gb: float | None = None) -> MemoryLimit:
    """Return the recipe's limit, or what the device recommends; it does not vary from run to run.

    On Metal that is `max_recommended_working_set_size`; elsewhere a share of the device's or the
    machine's memory, or of what the control group allows.
    """
    if limit_gb is not None:
        return MemoryLimit(int(limit_gb * 1e9), "memory.limit_gb")
    if on_cpu():
        return MemoryLimit(int(main_memory() * CPU_SHARE), f"{CPU_SHARE:.0%} of main memory")
    import mlx.core as mx

    info = mx.device_info()
    if recommended := info.get("max_recommended_working_set_size"):
        return MemoryLimit(int(recommended), "Metal's recommended working set")
    size = int(info.get("memory_size") or info.get("total_memory") or main_memory())
    return MemoryLimit(int(size * CUDA_SHARE), f"{CUDA_SHARE:.0%} of the device's memory")


def main_memory() -> int:
    """Return the bytes of memory that this process could have at most."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP_LIMITS:
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            size = min(size, int(text))
    return size
