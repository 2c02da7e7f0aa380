"""How much memory this machine can give a run."""

from dataclasses import dataclass

from yofo_mlx.system.environment import on_cpu
from yofo_mlx.system.main_memory import main_memory

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
