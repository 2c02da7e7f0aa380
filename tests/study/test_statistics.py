"""Means and their intervals, held to a resampling that is written out."""

import random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.study.statistics import Bootstrap


def tables(seeds: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: (rng.random((seeds, queries)) < share).astype(float)
        for name, queries, share in (("a", 12, 0.3), ("b", 20, 0.8), ("c", 7, 0.5))
    }


def naive_interval(of_tasks: dict[str, np.ndarray], resamples: int) -> tuple[float, float]:
    draw, means = random.Random(5), []
    seeds = len(next(iter(of_tasks.values())))
    for _ in range(resamples):
        some = draw.choices(range(seeds), k=seeds)
        of_each = []
        for table in of_tasks.values():
            queries = draw.choices(range(table.shape[1]), k=table.shape[1])
            of_each.append(fmean(table[seed][query] for seed in some for query in queries))
        means.append(fmean(of_each))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize("seeds", [1, 3])
def test_an_interval_is_that_of_a_resampling_written_out(seeds: int) -> None:
    found = Bootstrap(4000).estimate(tables(seeds))
    low, high = naive_interval(tables(seeds), 2000)
    assert abs(found.low - low) < 0.02 and abs(found.high - high) < 0.02


@given(st.integers(1, 4), st.integers(0, 99))
def test_a_mean_is_the_mean_over_tasks_whatever_their_queries(seeds: int, seed: int) -> None:
    of_tasks = tables(seeds, seed)
    found = Bootstrap(50).estimate(of_tasks)
    assert found.mean == pytest.approx(fmean(float(one.mean()) for one in of_tasks.values()))
    assert (found.seeds, found.tasks, found.queries) == (seeds, 3, 39)
    assert found.low <= found.high and (found.seed_spread is None) == (seeds == 1)


def test_what_never_differs_has_no_interval_and_a_difference_is_paired() -> None:
    one = tables(2)
    found = Bootstrap(500).estimate({name: table - (table - 0.25) for name, table in one.items()})
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))
    bootstrap = Bootstrap(500)
    apart = bootstrap.resampled(one) - bootstrap.resampled({n: t - 0.25 for n, t in one.items()})
    assert apart == pytest.approx(np.full(500, 0.25))


def test_more_seeds_that_differ_widen_the_interval_and_the_same_again_changes_nothing() -> None:
    alike = {"a": np.tile([[0.0, 1.0] * 8], (3, 1))}
    apart = {"a": np.array([[0.0] * 16, [0.5] * 16, [1.0] * 16])}
    calm, wild = Bootstrap(2000).estimate(alike), Bootstrap(2000).estimate(apart)
    assert calm.seed_spread == 0.0 and wild.seed_spread == pytest.approx(0.5)
    assert wild.high - wild.low > calm.high - calm.low
    assert Bootstrap(2000).estimate(apart) == wild
