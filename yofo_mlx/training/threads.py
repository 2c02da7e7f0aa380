"""How many threads the matrix products of a run have: the same from its first step to its last."""

from typing import Any

from mlx.utils import tree_flatten

from yofo_mlx.runs.info import RunInfo
from yofo_mlx.system import blas
from yofo_mlx.training.setup import Setup

LEAST_BYTES = 200e6  # chosen: of weights; the products of a smaller model are over too soon


def settle(info: RunInfo, setup: Setup) -> int | None:
    """Give a run the threads that it began with, or a new one those that are idle; return them.

    A product's last bits may depend on the number. None where OpenBLAS does not compute it.
    """
    blas.use_threads(_threads(info, setup))
    return blas.threads()


def _threads(info: RunInfo, setup: Setup) -> int:
    if info.data is not None:  # it began, perhaps with a version that always had one
        return info.blas_threads or 1
    if setup.ranks.group is not None:  # others on this machine may look for idle cores, too
        return 1
    weights: Any = tree_flatten(setup.base.model.parameters())
    is_small = sum(array.nbytes for _, array in weights) < LEAST_BYTES
    return 1 if is_small else blas.idle_threads()
