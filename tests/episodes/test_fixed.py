"""Fixed shots: the same before every query of a task, for the whole run, and never the query."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import ByteTokenizer
from yofo_mlx.episodes.batches import make_batch, target_spans
from yofo_mlx.episodes.fixed import fix_shots
from yofo_mlx.episodes.sampler import Pool, Sampler, join, make_pool
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.recipe.schema import Episodes, Objective, Template
from yofo_mlx.tasks.task import Example

SEGMENTER = Segmenter(ByteTokenizer(), Template(input="{input} ->", output=" {output}\n"))
LAST = Objective(targets="last")

short = st.text(alphabet="abcxyz ", min_size=1, max_size=12).filter(str.strip)
examples = st.lists(st.builds(Example, short, short), min_size=1, max_size=12)


def pool_of(rows: list[Example], max_tokens: int, name: str = "task") -> Pool:
    return make_pool(name, rows, SEGMENTER, max_tokens)


@given(
    rows=examples,
    count=st.integers(1, 6),
    seed=st.integers(0, 99),
    max_tokens=st.integers(40, 200),
)
def test_the_same_shots_stand_before_every_query_and_none_of_them_is_asked(
    rows: list[Example], count: int, seed: int, max_tokens: int
) -> None:
    whole = pool_of(rows, max_tokens)
    pool = fix_shots(whole, count, max_tokens, seed)
    assert pool.fixed is not None and pool.fixed <= min(count, len(whole.demonstrations) - 1)
    prefix = join(pool, range(pool.fixed))
    shown = pool.demonstrations[: pool.fixed]
    sampler = Sampler([pool], Episodes(max_tokens=max_tokens, fixed_shots=count), seed)
    for step in range(6):
        for episode in (*sampler.draw(step, 0, 2), *sampler.draw_tokens(step, 100)):
            assert episode.shots == pool.fixed and len(episode.tokens) <= max_tokens
            assert episode.tokens[: len(prefix.tokens)] == prefix.tokens
            assert episode.answers[:-1] == prefix.answers
            query = episode.tokens[len(prefix.tokens) :]
            if pool.fixed:
                assert query not in [one.later + one.answer for one in shown]
            start, end = episode.answers[-1]
            assert target_spans(episode, LAST) == [(start, end)]
            assert make_batch([episode], LAST).targets.tolist() == episode.tokens[start:end]


@given(rows=examples, count=st.integers(1, 6), max_tokens=st.integers(40, 200))
def test_no_example_is_lost_unless_it_is_counted(
    rows: list[Example], count: int, max_tokens: int
) -> None:
    whole = pool_of(rows, max_tokens)
    pool = fix_shots(whole, count, max_tokens, 0)
    kept = {(*one.later, *one.answer) for one in pool.demonstrations}
    assert kept <= {(*one.later, *one.answer) for one in whole.demonstrations}
    assert len(pool.demonstrations) + pool.left_out == len(whole.demonstrations) + whole.left_out
    assert 2 * (len(kept) - (pool.fixed or 0)) >= len(whole.demonstrations) - (pool.fixed or 0)


def test_every_other_example_is_asked() -> None:
    pool = fix_shots(pool_of([Example(f"q{i}", "a") for i in range(6)], 100), 2, 100, 0)
    sampler = Sampler([pool], Episodes(max_tokens=100, fixed_shots=2), 0)
    asked = {tuple(sampler.draw(step, 0, 1)[0].tokens) for step in range(100)}
    assert len(asked) == 4 == len(pool.demonstrations) - 2


def test_the_shots_are_of_the_seed_and_the_task() -> None:
    rows = [Example(f"q{i:02}", "a") for i in range(40)]

    def shown(name: str, seed: int) -> list[list[int]]:
        pool = fix_shots(pool_of(rows, 200, name), 3, 200, seed)
        return [one.later for one in pool.demonstrations[:3]]

    assert shown("a", 0) == shown("a", 0)
    assert len({str(shown(name, seed)) for name in "ab" for seed in (0, 1)}) == 4


def test_shots_that_leave_no_room_for_half_of_the_queries_are_fewer() -> None:
    rows = [Example("x" * 20 + f"{i:02}", "a") for i in range(10)]
    each = len(pool_of(rows, 1000).demonstrations[0])
    room = len(SEGMENTER.opening) + 3 * each
    assert fix_shots(pool_of(rows, room), 5, room, 0).fixed == 2
    assert fix_shots(pool_of(rows, room), 1, room, 0).fixed == 1
    assert fix_shots(pool_of(rows[:1], room), 5, room, 0).fixed == 0
    # Two of one length and one of twice that: behind a short one, one of the two others fits.
    short = len(pool_of([Example("a", "b")], 99).demonstrations[0])
    rows_of_two = [Example("a", "b"), Example("c", "d"), Example("e" * (short + 1), "f")]
    room_for_two = len(SEGMENTER.opening) + 2 * short
    pool = pool_of(rows_of_two, room_for_two)
    assert {fix_shots(pool, 1, room_for_two, seed).fixed for seed in range(20)} == {0, 1}
    alone = len(SEGMENTER.opening) + each
    pool = fix_shots(pool_of(rows, alone), 5, alone, 0)
    assert (pool.fixed, len(pool.demonstrations), pool.left_out) == (0, 10, 0)
    (episode,) = Sampler([pool], Episodes(max_tokens=1000, fixed_shots=5), 0).draw(0, 0, 1)
    assert episode.shots == 0  # not as many as would fit
