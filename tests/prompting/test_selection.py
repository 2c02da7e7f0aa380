"""Which demonstrations are shown: a pure function, true to its promises for whatever is offered."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.prompting.choosing import bound_of, facts
from yofo_mlx.prompting.selection import Choice, Room, choose
from yofo_mlx.tasks.families import holds_labels
from yofo_mlx.tasks.task import Example

LABELLED = [Example(f"row {n} of {label}", label) for label in "abcdefg" for n in range(12)]
SEEDS = st.integers(0, 5)
ROWS = st.lists(
    st.builds(Example, st.text("xyz ", min_size=1, max_size=12), st.sampled_from("abcdef")),
    max_size=40,
)
LIMITS = st.one_of(st.none(), st.integers(0, 200))


def length(example: Example) -> int:
    """Return the letters of an example, in the place of tokens."""
    return len(example.input) + len(example.output)


def chosen(
    rows: list[Example],
    shots: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    shown: tuple[Example, ...] = (),
    known: list[Example] | None = None,
) -> Choice:
    return choose(
        rows,
        seed=seed,
        room=Room(limit),
        length=length,
        shots=shots,
        shown=shown,
        known=known or (),
    )


@given(ROWS, SEEDS, LIMITS, st.integers(0, 40), st.randoms())
def test_the_choice_is_the_same_for_the_same_rows_in_any_order(
    rows: list[Example], seed: int, limit: int | None, shots: int, random: object
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = chosen(rows, shots, limit, seed), chosen(shuffled, shots, limit, seed)
    assert one.examples == other.examples


@given(ROWS, SEEDS, LIMITS, st.integers(0, 40))
def test_k_shots_are_the_first_of_one_more(
    rows: list[Example], seed: int, limit: int | None, shots: int
) -> None:
    fewer, more = chosen(rows, shots, limit, seed), chosen(rows, shots + 1, limit, seed)
    assert fewer.examples == more.examples[: len(fewer.examples)]
    assert len(fewer.examples) == min(shots, len(more.examples))


@given(ROWS, SEEDS, st.integers(0, 200))
def test_the_room_is_never_exceeded(rows: list[Example], seed: int, limit: int) -> None:
    found = chosen(rows, None, limit, seed)
    assert sum(map(length, found.examples)) <= limit
    total = len(found.examples) + found.doublets + found.too_long + found.unused
    assert total == found.offered == len(rows)
    assert min(found.doublets, found.too_long, found.unused) >= 0
    assert len(set(found.examples)) == len(found.examples)


@given(ROWS, SEEDS, st.integers(0, 400))
def test_every_label_is_there_if_its_shortest_rows_fit(
    rows: list[Example], seed: int, limit: int
) -> None:
    found = chosen(rows, None, limit, seed)
    shortest: dict[str, int] = {}
    for row in rows:
        shortest[row.output] = min(length(row), shortest.get(row.output, 1000))
    sizes = [*shortest.values(), 0]
    room = Room(limit)
    if holds_labels(dict.fromkeys(rows)) and room.holds(sum(sizes), max(sizes)):
        assert found.labels_missing == ()
    assert set(found.labels_missing).isdisjoint(one.output for one in found.examples)


@given(SEEDS, st.integers(0, 84))
def test_labels_come_in_turn(seed: int, shots: int) -> None:
    counts = Counter(example.output for example in chosen(LABELLED, shots, None, seed).examples)
    assert max(counts.values(), default=0) - min(counts[label] for label in "abcdefg") <= 1


@given(ROWS, ROWS, SEEDS)
def test_what_is_shown_already_stays_in_its_place(
    rows: list[Example], added: list[Example], seed: int
) -> None:
    before = chosen(rows, None, None, seed).examples
    after = chosen(rows + added, None, None, seed, before, rows).examples
    assert after[: len(before)] == before


@given(ROWS, SEEDS, LIMITS, st.integers(0, 40))
def test_the_same_once_more_changes_nothing_and_more_shots_only_add(
    rows: list[Example], seed: int, limit: int | None, shots: int
) -> None:
    before = chosen(rows, shots, limit, seed).examples
    assert chosen(rows, shots, limit, seed, before, rows).examples == before
    more = chosen(rows, shots + 3, limit, seed, before, rows).examples
    assert more == chosen(rows, shots + 3, limit, seed).examples


def test_what_is_added_to_a_full_context_takes_the_place_of_the_last_ones() -> None:
    before = chosen(LABELLED, 20).examples
    mine = [Example("my own", "a"), Example("mine too", "b")]
    after = chosen(LABELLED + mine, 20, None, 0, before, LABELLED).examples
    assert after[:18] == before[:18] and set(after[18:]) == set(mine)
    limit = sum(map(length, before)) + 60
    full = chosen(LABELLED, None, limit).examples
    after = chosen(LABELLED + mine, None, limit, 0, full, LABELLED).examples
    assert set(mine) <= set(after) and after[:10] == full[:10]
    many = [Example(f"other {n}", "a") for n in range(100)]
    after = chosen(LABELLED + many, 20, None, 0, before, LABELLED).examples
    assert after[:10] == before[:10] and set(after[10:]) <= set(many)


def test_one_that_was_shown_and_has_to_make_place_is_named() -> None:
    mine, other = [Example("my own", "a"), Example("mine too", "b")], [Example("more", "c")]
    limit = sum(map(length, mine)) + 8
    before = chosen(mine, None, limit).examples
    assert set(before) == set(mine)
    after = chosen(mine + other, None, limit, 0, before, mine)
    assert after.displaced == before[-1:] and set(after.examples) == {before[0], *other}
    told = facts(after, mine + other, None, bound_of(None, 256, 8192), 0)["told"]
    assert any(f"{before[-1].input} -> {before[-1].output}" in words for words in told)
    assert chosen(mine + other, 1, limit, 0, before, mine).displaced == ()


def test_another_seed_chooses_others() -> None:
    assert chosen(LABELLED, 20, seed=1).examples != chosen(LABELLED, 20, seed=2).examples


def test_free_answers_are_simply_shuffled_and_no_label_is_missed() -> None:
    rows = [Example(f"question {n}", f"an answer of its own, {n}") for n in range(50)]
    found = chosen(rows, 10)
    assert (found.labels, found.labels_missing, found.unused) == (0, (), 40)
    assert found.examples != tuple(rows[:10])


def test_doublets_and_contradictions_are_counted() -> None:
    rows = [Example("x", "a"), Example("x", "a"), Example("x", "b"), Example("y", "b")]
    found = chosen(rows)
    assert (found.offered, found.doublets, found.contradictions) == (4, 1, 1)
    assert len(found.examples) == 3


def test_one_that_is_too_long_takes_no_turn_of_another() -> None:
    rows = [Example("long " * 100, "a"), *[Example(f"short {n}", "b") for n in range(4)]]
    found = chosen(rows, None, 150)
    assert (found.too_long, len(found.examples)) == (1, 4)


def test_a_rare_label_of_a_sorted_file_is_shown_and_a_lost_one_is_named() -> None:
    rows = [Example(f"row {n}", "often") for n in range(500)] + [Example("row", "rare")]
    assert "rare" in {example.output for example in chosen(rows, 2).examples}
    found = chosen(LABELLED, 5)
    assert len(found.labels_missing) == 2
    bound = bound_of(5, 256, 8192)
    first, second = facts(found, LABELLED, 5, bound, 0)["told"]
    assert first == ("5 of 84 chosen with seed 0, in turn from 7 labels: as many as were asked for")
    assert second.startswith("without a demonstration are 2 of the labels: ")
    assert all(label in second for label in found.labels_missing)


def test_no_more_is_read_than_was_trained_unless_it_is_asked_for() -> None:
    assert bound_of(None, 256, 8192).tokens == 256
    assert bound_of(100, 256, 8192).tokens == bound_of("all", 256, 8192).tokens == 8192
    assert bound_of(None, None, 8192).tokens == 4096
    assert bound_of(None, None, 2048).words == "the model's context holds (2,048 tokens)"
    assert bound_of(None, 65536, 2048).kind == "context"


def test_a_rare_label_or_an_odd_row_does_not_take_the_turns_from_all_the_others() -> None:
    odd = Example("odd", "this answer is a sentence of its own, " * 3)
    many = [Example(f"row {n} of {label}", label) for label in "abcdefg" for n in range(30)]
    assert chosen([*many, odd], 4).labels == 8
    assert len({example.output for example in chosen([*many, odd], 8).examples}) == 8
    asked = [Example(f"row {n}", f"why does {n % 50} so often come to it?") for n in range(200)]
    assert chosen([*asked, odd], 4).labels == 0
    few = [Example(f"row {n}", "often") for n in range(5)]
    few += [Example(label, label) for label in "abcde"]
    assert len(chosen(few, 4).labels_missing) == 2
