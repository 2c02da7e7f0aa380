"""How much memory this machine can give a run: by its device, and by what is free now."""

from dataclasses import dataclass

from yofo_mlx.system.environment import on_cpu
from yofo_mlx.system.main_memory import free_memory, main_memory
from yofo_mlx.system.quantities import size as in_words

# Chosen, not measured: the rest is for everything else on the machine, or on the device for CUDA's
# own context and for what fragments. `memory.limit_gb` says otherwise.
CPU_SHARE = 0.8
CUDA_SHARE = 0.9
# Chosen: what stays free beside a run, for what other programs take next and for what the process
# takes beside its arrays. Past half of it a run leaves (`training/memory_watch.py`).
RESERVE_SHARE, LEAST_RESERVE = 0.05, 2**28
FREE_NOW = "what is free now"


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


def limit_now(limit_gb: float | None = None) -> MemoryLimit:
    """Return that limit, or what is free now but for a reserve, where that is less.

    What this process holds of arrays counts as free. Of a CUDA device it is not known.
    """
    limit, free = memory_limit(limit_gb), free_for_arrays()
    if free is None:
        return limit
    import mlx.core as mx

    room = free + mx.get_active_memory() + mx.get_cache_memory() - reserve()
    if room >= limit.nbytes:
        return limit
    return MemoryLimit(max(0, room), f"{FREE_NOW}, but for {in_words(reserve())}")


def reserve() -> int:
    """Return the bytes that stay free beside a run."""
    return max(int(main_memory() * RESERVE_SHARE), LEAST_RESERVE)


def free_for_arrays() -> int | None:
    """Return the bytes that arrays could take more of now; None where nothing tells it."""
    import mlx.core as mx

    return free_memory() if on_cpu() or mx.metal.is_available() else None
