"""Threads of a run's matrix products: those that were idle when it began, then the same."""

from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from yofo_mlx.runs.info import RunInfo
from yofo_mlx.system import blas
from yofo_mlx.training import threads
from yofo_mlx.training.provenance import changes
from yofo_mlx.training.ranks import Ranks
from yofo_mlx.training.threads import settle


class Library:
    """OpenBLAS as far as threads go."""

    count = 1

    def scipy_openblas_set_num_threads(self, count: int) -> None:
        self.count = count

    def scipy_openblas_get_num_threads(self) -> int:
        return self.count


@pytest.fixture(autouse=True)
def four_idle_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_library", Library())
    monkeypatch.setattr(blas, "idle_threads", lambda: 4)
    monkeypatch.setenv(blas.UNASKED, "1")


def setup(weights: int = 60_000_000, group: Any = None) -> Any:
    model = nn.Module()
    model.weight = mx.zeros(weights)  # float32, never evaluated
    return SimpleNamespace(base=SimpleNamespace(model=model), ranks=Ranks(group=group))


def test_a_new_run_of_a_real_model_has_those_that_are_idle() -> None:
    assert settle(RunInfo(), setup()) == 4
    assert settle(RunInfo(), setup(weights=1000)) == 1
    assert settle(RunInfo(), setup(group=object())) == 1


def test_a_run_that_goes_on_has_those_that_it_began_with() -> None:
    assert settle(RunInfo(data={}, blas_threads=2), setup()) == 2
    assert settle(RunInfo(data={}), setup()) == 1  # of a version that always had one


def test_the_environment_beats_both_and_a_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(blas.UNASKED)
    began = RunInfo(data={}, blas_threads=2)
    now = settle(began, setup())
    assert now == 1
    same = {"versions": dict.fromkeys(("yofo", "mlx", "mlx-lm", "numpy"), "1")}
    ((message, _),) = changes(began.updated(**same), RunInfo(blas_threads=now, **same))
    assert message == "threads of OpenBLAS: 2, now 1"
    assert not [*changes(RunInfo(data={}, **same), RunInfo(blas_threads=1, **same))]


def test_without_the_library_there_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_library", None)
    assert settle(RunInfo(), setup()) is None
    assert threads.LEAST_BYTES > 50e6  # the embedded model has one thread wherever it is


def test_children_of_a_process_that_fixed_the_number_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(blas.THREADS, "4")
    blas.fix_threads(1)
    blas.use_threads(4)
    assert blas.threads() == 1
