"""Episodes and batches: what is a target, what is never cut, what a seed fixes."""

from collections import Counter
from itertools import takewhile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import ByteTokenizer
from yofo_mlx.episodes.batches import make_batch, target_spans
from yofo_mlx.episodes.sampler import (
    Demonstration,
    Demonstrations,
    Episode,
    Pool,
    Sampler,
    count_fitting,
    join,
    make_pool,
    tokenize,
)
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import Episodes, Objective, Template
from yofo_mlx.tasks.task import Example

TOKENIZER = ByteTokenizer()
TEMPLATE = Template(input="{input} ->", output=" {output}\n")
SEGMENTER = Segmenter(TOKENIZER, TEMPLATE)

short = st.text(alphabet="abcxyz ", min_size=1, max_size=8).filter(str.strip)
examples = st.lists(st.builds(Example, short, short), min_size=1, max_size=12)


def pool_of(examples: list[Example], max_tokens: int, name: str = "task") -> Pool:
    return make_pool(name, examples, SEGMENTER, max_tokens)


@given(examples=examples, max_tokens=st.integers(30, 200), seed=st.integers(0, 9))
def test_every_answer_token_is_a_target_once_and_nothing_else_is(
    examples: list[Example], max_tokens: int, seed: int
) -> None:
    pool = pool_of(examples, max_tokens)
    settings = Episodes(max_tokens=max_tokens, draw="full")
    episodes = Sampler([pool], settings, seed).draw(0, 0, 2)
    batch = make_batch(episodes, Objective())
    width = batch.tokens.shape[1]
    predicted = Counter((batch.rows + 1).tolist())
    for index, episode in enumerate(episodes):
        for place in range(len(episode.tokens)):
            inside = any(start <= place < end for start, end in episode.answers)
            assert predicted[index * width + place] == inside
    assert sum(predicted.values()) == sum(end - s for e in episodes for s, end in e.answers)
    assert (batch.tokens.reshape(-1)[batch.rows + 1] == batch.targets).all()


@given(examples=examples, max_tokens=st.integers(30, 200), seed=st.integers(0, 9))
def test_no_demonstration_is_ever_cut(examples: list[Example], max_tokens: int, seed: int) -> None:
    pool = pool_of(examples, max_tokens)
    known = {SEGMENTER.text(d.answer) for d in pool.demonstrations}
    for step in range(3):
        (episode,) = Sampler([pool], Episodes(max_tokens=max_tokens), seed).draw(step, 0, 1)
        assert len(episode.tokens) <= max_tokens
        assert episode.answers[-1][1] == len(episode.tokens)
        text = TOKENIZER.decode(episode.tokens[len(pool.opening) :])
        lines = text.removesuffix("\n").split("\n")
        assert len(lines) == len(episode.answers)
        assert all(line.rpartition(" -> ")[2].strip() in known for line in lines)


@given(examples=examples, seed=st.integers(0, 9))
def test_no_pair_repeats_inside_an_episode(examples: list[Example], seed: int) -> None:
    pool = pool_of(examples * 2, 500)
    (episode,) = Sampler([pool], Episodes(max_tokens=500, draw="full"), seed).draw(0, 0, 1)
    assert len(episode.answers) == len(pool.demonstrations) == len(set(examples))


@given(examples=examples)
def test_tokens_of_k_shots_are_a_prefix_of_those_of_k_plus_1(examples: list[Example]) -> None:
    pool = pool_of(examples, 1000)
    order = range(len(pool.demonstrations))
    for count in order:
        shorter, longer = join(pool, order[:count]), join(pool, order[: count + 1])
        assert longer.tokens[: len(shorter.tokens)] == shorter.tokens


@given(seed=st.integers(0, 2**31), step=st.integers(0, 10**6))
def test_what_is_drawn_is_a_pure_function_of_seed_and_step(seed: int, step: int) -> None:
    pools = [pool_of([Example(f"{n}{i}", str(i)) for i in range(9)], 90, n) for n in "ab"]
    one, two = (Sampler(pools, Episodes(max_tokens=90), seed) for _ in range(2))
    one.draw(step + 1, 0, 2)  # what was drawn before does not matter
    assert one.draw(step, 0, 3) == two.draw(step, 0, 3)


def test_every_pass_of_an_update_draws_episodes_of_its_own() -> None:
    pools = [pool_of([Example(f"{n}{i:02}", str(i)) for i in range(40)], 300, n) for n in "ab"]
    sampler = Sampler(pools, Episodes(max_tokens=300), 0)
    drawn = [sampler.draw(step, micro_step, 1)[0] for step in range(2) for micro_step in range(4)]
    assert len({tuple(episode.tokens) for episode in drawn}) == 8
    assert sampler.draw(1, 2, 1)[0] == drawn[6]


@given(examples=examples, max_tokens=st.integers(30, 120), seed=st.integers(0, 9))
def test_what_is_drawn_is_what_a_plain_list_of_demonstrations_gives(
    examples: list[Example], max_tokens: int, seed: int
) -> None:
    tokens = [tokenize(SEGMENTER, example) for example in dict.fromkeys(examples)]
    pool = pool_of(examples, max_tokens)
    room = max_tokens - len(pool.opening)
    fitting = [d for d in tokens if max(len(d.first), len(d.later)) + len(d.answer) <= room]
    assert list(pool.demonstrations) == fitting == pool.demonstrations[:]
    assert pool.left_out == len(tokens) - len(fitting)
    order = np.random.default_rng(seed).permutation(len(fitting)).tolist()
    expected: list[int] = list(pool.opening)
    answers: list[tuple[int, int]] = []
    for index in order:
        one = fitting[index]
        piece = (one.later if answers else one.first) + one.answer
        if len(expected) + len(piece) > max_tokens:
            break
        expected += piece
        answers.append((len(expected) - len(one.answer), len(expected)))
    count = count_fitting(pool, order, max_tokens)
    assert join(pool, order[:count]) == Episode("task", expected, answers)
    episode = Episode("task", list(pool.opening))
    added = list(
        takewhile(lambda one: episode.add(one, max_tokens), map(fitting.__getitem__, order))
    )
    assert (episode, len(added)) == (Episode("task", expected, answers), count)


@given(examples=examples, max_tokens=st.integers(0, 120))
def test_what_does_not_fit_leaves_an_episode_as_it_was_and_others_may_follow(
    examples: list[Example], max_tokens: int
) -> None:
    episode, whole = (Episode("task", list(SEGMENTER.opening)) for _ in range(2))
    tokens = [tokenize(SEGMENTER, example) for example in examples]
    added = [one for one in tokens if episode.add(one, max_tokens)]
    assert all(map(whole.add, added))
    assert whole == episode
    assert len(episode.tokens) <= max(max_tokens, len(SEGMENTER.opening))
    for start, end in episode.answers:
        assert episode.tokens[start:end] in [one.answer for one in added]


def test_a_first_question_of_its_own_is_kept_beside_the_later_one() -> None:
    kept = Demonstrations()
    several = [Demonstration([1], [7, 1], [2, 3]), Demonstration([4, 5], [4, 5], [2**31])]
    for one in several:
        kept.append(one)
    assert list(kept) == several and kept[-1] == several[1]
    assert [lengths.tolist() for lengths in kept.lengths] == [[3, 3], [4, 3]]


def test_what_is_known_of_an_answer_stays_with_it() -> None:
    shown = [
        Demonstration([1, n], [2], [n] * 2, [9] * n, (((n, 1.0),),) * (n % 2) or None, n / 4)
        for n in range(5)
    ]
    kept = Demonstrations()
    for one in shown:
        kept.append(one)
    assert kept[:] == shown == [kept.at(place) for place in range(5)]


def test_many_demonstrations_take_little_memory() -> None:
    words = "the model learns a new task from demonstrations in its context".split()
    texts = [" ".join(words[(i * k) % 11] for k in range(60)) + str(i) for i in range(300)]
    pool = pool_of([Example(text, "label") for text in texts], 2000)
    tokens = sum(len(one) for one in pool.demonstrations)
    assert pool.demonstrations.nbytes < 2 * tokens  # a list of numbers has 8 bytes for each alone


def test_the_memory_of_demonstrations_is_what_their_arrays_hold() -> None:
    kept = Demonstrations()
    assert kept.nbytes == 8
    for count in range(1, 4):
        kept.append(Demonstration([], [], []))  # packed, nothing is 8 bytes
        assert kept.nbytes == 8 + count * (8 + 8 + 5 * 4)


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_an_order_is_any_sequence_of_places_also_an_empty_one(kind: Any) -> None:
    pool = pool_of([Example(f"q{i}", "a") for i in range(4)], 100)
    shown = [pool.demonstrations[place] for place in (2, 0, 1)]
    expected = pool.opening + [token for one in shown for token in one.later + one.answer]
    assert join(pool, kind([2, 0, 1])).tokens == expected
    assert count_fitting(pool, kind([2, 0, 1]), 100) == 3
    assert (join(pool, kind([])).answers, count_fitting(pool, kind([]), 100)) == ([], 0)


def test_the_number_of_shots_is_spread_from_none_to_what_fits() -> None:
    pool = pool_of([Example(f"q{i:02}", "a") for i in range(40)], 120)
    sampler = Sampler([pool], Episodes(max_tokens=120), 0)
    shots = Counter(sampler.draw(step, 0, 1)[0].shots for step in range(600))
    most = count_fitting(pool, range(40), 120) - 1
    assert set(shots) == set(range(most + 1))
    assert max(shots.values()) < 2.5 * min(shots.values())


@pytest.mark.parametrize(("low", "high"), [(0, 0), (2, 2), (1, 3)])
def test_shot_bounds_make_zero_shot_and_few_shot_episodes(low: int, high: int) -> None:
    pool = pool_of([Example(f"q{i}", "a") for i in range(30)], 200)
    sampler = Sampler([pool], Episodes(max_tokens=200, min_shots=low, max_shots=high), 0)
    drawn = {sampler.draw(step, 0, 1)[0].shots for step in range(80)}
    assert drawn == set(range(low, high + 1))


def test_episodes_of_one_pass_are_of_alike_length() -> None:
    pools = [pool_of([Example(f"{n * 4}{i:02}", n) for i in range(60)], 300, n) for n in "abc"]
    sampler = Sampler(pools, Episodes(max_tokens=300), 0)
    padding = total = 0
    for step in range(100):
        batch = make_batch(sampler.draw(step, 0, 4), Objective())
        padding += batch.tokens.size - batch.token_count
        total += batch.tokens.size
    assert padding / total < 0.05


def test_examples_that_fit_no_episode_are_left_out_and_counted() -> None:
    pool = pool_of([Example("a", "b"), Example("c" * 100, "d")], 40)
    assert (len(pool.demonstrations), pool.left_out) == (1, 1)


def test_episodes_that_hold_no_demonstration_are_refused() -> None:
    with pytest.raises(DataError, match="not one of 2 demonstrations fits an episode of 5 tokens"):
        pool_of([Example("a", "b"), Example("c", "d")], 5)


@pytest.mark.parametrize("lengths", [(2, 3, 4), (4, 2, 3), (3, 4, 2)])
def test_the_shortest_of_what_fits_no_episode_is_told(lengths: tuple[int, ...]) -> None:
    needed = len(pool_of([Example("aa", "b")], 100).demonstrations[0]) + len(SEGMENTER.opening)
    with pytest.raises(DataError, match=rf"the shortest needs {needed}\)"):
        pool_of([Example("a" * length, "b") for length in lengths], 5)


EPISODE = Episode("task", list(range(100, 120)), [(3, 5), (9, 10), (15, 20)])


def test_last_answer_training_has_the_last_answer_only() -> None:
    batch = make_batch([EPISODE], Objective(targets="last"))
    assert batch.targets.tolist() == [115, 116, 117, 118, 119]


def test_token_training_has_everything_but_the_first_token() -> None:
    objective = Objective(targets="tokens", normalize="token")
    assert target_spans(EPISODE, objective) == [(1, 20)]
    assert make_batch([EPISODE], objective).denominator == 19


def test_answers_weigh_the_same_or_tokens_do() -> None:
    by_answer = make_batch([EPISODE], Objective())
    assert by_answer.denominator == 3
    np.testing.assert_allclose(by_answer.weights, [1 / 2] * 2 + [1] + [1 / 5] * 5)
    by_token = make_batch([EPISODE], Objective(normalize="token"))
    assert by_token.denominator == 8 and set(by_token.weights.tolist()) == {1.0}


def test_a_batch_without_targets_is_refused() -> None:
    with pytest.raises(DataError, match="no target"):
        make_batch([Episode("task", [1, 2, 3], [])], Objective())
