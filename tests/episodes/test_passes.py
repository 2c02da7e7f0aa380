"""An update that is given in tokens: how many, which rows are read together, what a seed fixes."""

from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import ByteTokenizer
from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.episodes.companions import companions
from yofo_mlx.episodes.packing import ALIKE, alike, rows_of, unpacked
from yofo_mlx.episodes.passes import MOST_TOGETHER, draw_passes, most_together
from yofo_mlx.episodes.sampler import Episode, Pool, Sampler, make_pool
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.recipe.schema import Episodes, Objective, Template, Training
from yofo_mlx.tasks.task import Example

SEGMENTER = Segmenter(ByteTokenizer(), Template(input="{input} ->", output=" {output}\n"))

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=60)


@cache
def pools(max_tokens: int) -> list[Pool]:
    """Return three tasks of short, middling and long inputs."""
    return [
        make_pool(name, [Example(f"{name * size}{i:02}", name) for i in range(40)], SEGMENTER, most)
        for name, size, most in (("a", 2, max_tokens), ("b", 12, max_tokens), ("c", 40, max_tokens))
    ]


def group(episodes: list[Episode], most: int) -> Iterator[list[Episode]]:
    for places in alike([len(one.tokens) for one in episodes], most):
        yield [episodes[place] for place in places]


def episodes_of(counts: list[int]) -> list[Episode]:
    return [Episode(f"{place}", [7] * count, [(0, count)]) for place, count in enumerate(counts)]


def size(rows: list[Episode]) -> int:
    return len(rows) * max(len(row.tokens) for row in rows)


@given(counts=lengths, most=st.integers(1, 2000))
def test_every_episode_is_a_row_of_one_pass_and_a_pass_of_several_is_bounded(
    counts: list[int], most: int
) -> None:
    episodes = episodes_of(counts)
    passes = list(group(episodes, most))
    assert Counter(row.task for rows in passes for row in rows) == Counter(e.task for e in episodes)
    assert all(size(rows) <= most for rows in passes if len(rows) > 1)


@given(counts=lengths, most=st.integers(1, 2000))
def test_at_most_a_quarter_of_a_pass_is_padding(counts: list[int], most: int) -> None:
    for rows in group(episodes_of(counts), most):
        assert sum(len(row.tokens) for row in rows) >= ALIKE * size(rows)


def test_rows_of_one_length_fill_a_pass() -> None:
    assert [len(rows) for rows in group(episodes_of([10] * 7), 30)] == [3, 3, 1]
    assert [len(rows) for rows in group(episodes_of([10, 8, 7, 50]), 100)] == [1, 2, 1]
    assert [len(rows) for rows in group(episodes_of([75, 100, 74]), 1000)] == [2, 1]


@given(
    tokens=st.integers(1, 3000),
    step=st.integers(0, 10**6),
    seed=st.integers(0, 99),
    most=st.sampled_from([0, 2, None]),
)
def test_an_update_takes_the_episodes_that_come_nearest_to_its_tokens(
    tokens: int, step: int, seed: int, most: int | None
) -> None:
    settings = Episodes(max_tokens=300, max_shots=most)
    drawn = Sampler(pools(300), settings, seed).draw_tokens(step, tokens)
    total = sum(len(episode.tokens) for episode in drawn)
    before = total - len(drawn[-1].tokens)
    assert len(drawn) == 1 or abs(tokens - total) <= abs(tokens - before)
    longer = Sampler(pools(300), settings, seed).draw_tokens(step, tokens + 600)
    assert longer[: len(drawn)] == drawn  # a larger update begins with the same episodes
    following = len(longer[len(drawn)].tokens)
    assert abs(tokens - total) < abs(tokens - total - following)


@pytest.mark.parametrize("most", [0, 2, None])
@pytest.mark.parametrize("tokens", [300, 700])
def test_few_and_many_shots_make_updates_of_equally_many_tokens(
    most: int | None, tokens: int
) -> None:
    sampler = Sampler(pools(300), Episodes(max_tokens=300, max_shots=most), 0)
    taken = [sum(len(e.tokens) for e in sampler.draw_tokens(step, tokens)) for step in range(120)]
    assert np.mean(taken) == pytest.approx(tokens, rel=0.05)


@given(step=st.integers(0, 10**6), seed=st.integers(0, 2**31), tokens=st.integers(1, 2000))
def test_the_passes_of_an_update_are_a_pure_function_of_seed_and_step(
    step: int, seed: int, tokens: int
) -> None:
    one, two = (Sampler(pools(200), Episodes(max_tokens=200), seed) for _ in range(2))
    settings = Training(steps=1, batch_tokens=tokens)
    list(draw_passes(one, settings, step + 1))  # what was drawn before does not matter
    passes = list(draw_passes(one, settings, step))
    assert passes == list(draw_passes(two, settings, step))
    together = Counter(tuple(row.tokens) for rows in passes for row in rows)
    assert together == Counter(tuple(e.tokens) for e in two.draw_tokens(step, tokens))


def test_what_is_compared_is_read_with_an_episode_and_answers_alone_after_all_passes() -> None:
    objective = Objective(zero_shot=0.4, rejected=1.0)
    rows = [Example(f"q{place:02}", "yes", "no") for place in range(9)]
    pool = make_pool("task", rows, SEGMENTER, 90)
    sampler = Sampler([pool], Episodes(max_tokens=90, min_shots=2), 0, companions(objective, 200))
    passes = [*draw_passes(sampler, Training(steps=1, grad_accumulation_steps=2), 0)]
    kinds = [[one.kind for one in some] for some in passes]
    assert kinds[:2] == [["own", "rejected"]] * 2
    assert {kind for some in kinds[2:] for kind in some} == {"zero_shot"}
    assert sum(map(len, kinds[2:])) == sum(some[0].shots + 1 for some in passes[:2])


def test_rows_of_a_batch_hold_the_very_tokens_of_their_episodes() -> None:
    sampler = Sampler(pools(200), Episodes(max_tokens=200), 0)
    for rows in draw_passes(sampler, Training(steps=1, batch_tokens=900), 3):
        batch = make_batch(rows, Objective())
        for row, length, episode in zip(batch.tokens, batch.lengths, rows, strict=True):
            assert row[:length].tolist() == episode.tokens
        assert batch.shots == tuple(episode.shots for episode in rows)


def test_without_the_key_passes_are_drawn_as_they_always_were() -> None:
    sampler = Sampler(pools(200), Episodes(max_tokens=200), 5)
    settings = Training(steps=1, batch_size=2, grad_accumulation_steps=3)
    drawn = [sampler.draw(4, place, 2) for place in range(3)]
    assert list(draw_passes(sampler, settings, 4)) == drawn
    # As commit d4fe1d1 drew them.
    assert [(len(e.tokens), e.shots, e.task) for rows in drawn for e in rows] == [
        (61, 5, "a"),
        (61, 2, "b"),
        (191, 18, "a"),
        (181, 8, "b"),
        (49, 0, "c"),
        (11, 0, "a"),
    ]


def test_several_rows_are_as_many_tokens_as_the_update_but_not_more_than_pay() -> None:
    assert most_together(Training(steps=1)) == 0
    assert most_together(Training(steps=1, batch_tokens=100)) == 100
    assert most_together(Training(steps=1, batch_tokens=2**20)) == MOST_TOGETHER


@given(counts=lengths, most=st.integers(1, 2000))
def test_episodes_share_rows_of_a_bounded_length_about_equally_full(
    counts: list[int], most: int
) -> None:
    rows = list(rows_of(counts, most))
    assert sorted(place for row in rows for place in row) == list(range(len(counts)))
    totals = [sum(counts[place] for place in row) for row in rows]
    assert all(total <= most for row, total in zip(rows, totals, strict=True) if len(row) > 1)
    if max(counts) <= most:  # no row is much emptier than it could be, but the last one
        least = min(sum(counts) / -(-sum(counts) // most), most - max(counts) + 1)
        assert all(total >= least for total in totals[:-1])


def test_the_rows_of_a_packed_update_are_a_pure_function_of_seed_and_step() -> None:
    settings = Training(steps=1, batch_tokens=1000, packed=True)
    one, two = (Sampler(pools(200), Episodes(max_tokens=200), 3) for _ in range(2))
    list(draw_passes(one, settings, 8))
    rows = list(draw_passes(one, settings, 7))
    assert rows == list(draw_passes(two, settings, 7))
    drawn = Counter(tuple(episode.tokens) for episode in one.draw_tokens(7, 1000))
    assert Counter(tuple(episode.tokens) for row in rows for episode in row) == drawn
    assert len(rows) == 1  # also where the update is a little longer than asked for


@given(counts=st.lists(st.integers(2, 40), min_size=2, max_size=12), most=st.integers(1, 100))
def test_a_packed_row_is_taken_apart_into_padded_batches_of_the_same_targets(
    counts: list[int], most: int
) -> None:
    rng = np.random.default_rng(sum(counts))
    episodes = [
        Episode(f"{place}", rng.integers(1, 99, count).tolist(), [(1, 2), (count - 1, count)])
        for place, count in enumerate(counts)
    ]
    row = make_batch(episodes, Objective(), packed=True)
    assert row.is_packed and row.tokens.shape == (1, sum(counts)) == (1, row.token_count)
    assert (row.tokens[0][row.rows + 1] == row.targets).all()
    parts = list(unpacked(row, most))
    assert not any(part.is_packed for part in parts)
    assert all(part.tokens.size <= most for part in parts if len(part.tokens) > 1)
    for part in parts:
        alone = make_batch([episodes[int(task)] for task in part.tasks], Objective())
        order = np.argsort(part.rows)
        assert (part.tokens == alone.tokens).all() and (part.rows[order] == alone.rows).all()
        assert (part.targets[order] == alone.targets).all()
        assert (part.weights[order] == alone.weights).all()
        assert part.denominator == pytest.approx(alone.denominator)
    assert sorted(task for part in parts for task in part.tasks) == sorted(row.tasks)
