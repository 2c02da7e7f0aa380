"""Demonstrations as rows: what a change makes of them, how it is undone, what a reading says."""

from collections import Counter
from typing import Any

import pytest

from tui.prompt.health import findings, learning_curve
from tui.prompt.readings import look_through
from tui.prompt.row_editor import as_text
from tui.prompt.rows import Row, Rows, told_by
from yofo_mlx.prompting.demonstrations import parse
from yofo_mlx.tasks.task import Example

CARD, PIN, ODD = Example("my card is gone", "lost"), Example("PIN?", "pin"), Example("asdf", "pin")


def rows_of(*examples: Example) -> Rows:
    rows = Rows()
    rows.start(map(Row, examples))
    return rows


def facts_of(*examples: Example, suspicious: int) -> dict[str, Any]:
    """Return what a session's `health` says, the row of that place being suspicious."""
    labelled = {"share": -0.1, "others_say": None, "margin": None, "suspicion": 0.0}
    rows = []
    for place, one in enumerate(examples, start=1):
        of_row = labelled | {"expected": one.output, "is_suspicious": place == suspicious}
        if place == suspicious:
            of_row |= {"expected": "other", "others_say": "other", "share": -3.0}
        row = {"place": place, "input": one.input, "answer": one.output, "logprob": -0.5}
        rows.append(row | {"tokens": 1, "seen": 0, "labelled": of_row})
    curve = [{"first": 1, "last": 1, "loss": 1.0, "error": 0.0, "right": 0}]
    curve.append({"first": 2, "last": 3, "loss": 0.5, "error": 0.0, "right": 1})
    learning = {"curve": curve, "is_understood": None, "is_improving": None, "told": "too few"}
    sound = {"near_duplicates": []}
    told = {"told": ["too few"], "alarms": [], "learning": learning, "soundness": sound}
    return {"rows": rows, "suspicious": [suspicious], **told}


def test_each_change_is_undone_in_turn() -> None:
    rows = rows_of(CARD, PIN)
    states = [rows.all]
    for change in (
        lambda: rows.append([Row(ODD)]),
        lambda: rows.toggle([2]),
        lambda: rows.move(0, 1),
        lambda: rows.put(0, Example("x", "y")),
        lambda: rows.insert(1, ODD),
        lambda: rows.drop([0, 2]),
        lambda: rows.replace_by([Row(ODD), Row(CARD)]),
    ):
        change()
        assert rows.all != states[-1]
        states.append(rows.all)
    assert states[-1] == (Row(ODD, is_on=False), Row(CARD))  # what was off stays off
    for before in reversed(states[:-1]):
        assert rows.undo() and rows.all == before
    assert not rows.undo()


def test_a_change_looks_at_the_rows_that_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    count = Rows._count
    monkeypatch.setattr(
        Rows, "_count", lambda self, rows, by: (seen.append(len(rows)), count(self, rows, by))
    )
    rows = rows_of(*(Example(f"row {n}", f"l{n % 7}") for n in range(1000)))

    def looks(change: Any) -> list[int]:
        seen.clear()
        change()
        on = [row.example.output for row in rows.all if row.is_on]
        assert rows.answers == Counter(on) and 0 not in rows.answers.values()
        return seen

    assert looks(lambda: rows.put(500, Example("x", "y"))) == [1, 1]
    assert looks(lambda: rows.toggle([500])) == [1, 1]
    assert looks(lambda: rows.drop([400])) == [1, 0]
    assert looks(lambda: rows.insert(3, CARD)) == [0, 1]
    assert looks(lambda: rows.move(7, 1)) == [2, 2]
    assert looks(lambda: rows.append([Row(PIN)] * 3)) == [0, 3]
    assert looks(rows.undo) == [3, 0]


def test_only_rows_that_are_on_are_shown_to_a_model() -> None:
    rows = rows_of(CARD, PIN, ODD)
    rows.toggle([2])
    assert rows.examples == [CARD, PIN]
    rows.toggle([0, 2])  # not all of them are on: all are put on
    assert rows.examples == [CARD, PIN, ODD]
    assert not rows.move(0, -1) and not rows.move(2, 1)


def test_states_kept_are_bounded_and_the_last_one_is_always_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tui.prompt.rows.MOST_KEPT", 10)
    rows = rows_of(*[CARD] * 8)
    for place in range(5):
        rows.toggle([place])
    assert rows.undo() and len(rows.examples) == 8 - 4
    assert not rows.undo()


def test_a_view_filters_and_orders_and_changes_no_row() -> None:
    rows = rows_of(PIN, CARD, ODD)
    rows.tell(told_by(facts_of(PIN, CARD, ODD, suspicious=3)))
    rows.see("", "least expected first")
    assert list(rows.places) == [2, 0, 1] and not rows.is_as_given
    rows.see("PIN", "by answer")
    assert list(rows.places) == [0, 2]
    rows.see("", "by answer")
    assert list(rows.places) == [1, 0, 2]
    assert rows.examples == [PIN, CARD, ODD]


def test_a_row_is_suspicious_until_it_is_off_changed_or_dropped() -> None:
    rows = rows_of(PIN, CARD, ODD)
    rows.tell(told_by(facts_of(PIN, CARD, ODD, suspicious=3)))
    assert rows.suspicious == [2] and rows.told[ODD].says == "other"
    assert rows.told[CARD].says == ""  # what was expected there was its own answer
    rows.toggle([2])
    assert rows.suspicious == []
    rows.undo()
    rows.put(2, Example("asdf", "other"))
    assert rows.suspicious == []


def test_of_a_row_read_twice_the_worse_is_told() -> None:
    told = told_by(facts_of(ODD, ODD, suspicious=1))
    assert told[ODD].is_suspicious and told[ODD].share < 0.1


def test_free_answers_have_a_probability_by_token_and_no_suspicion() -> None:
    facts = facts_of(CARD, suspicious=0) | {"suspicious": []}
    facts["rows"][0] |= {"labelled": None, "logprob": -2.0, "tokens": 4}
    assert told_by(facts)[CARD].share == pytest.approx(0.6065, abs=1e-4)


@pytest.mark.parametrize(
    "examples",
    [
        [CARD, PIN],
        [Example("two\nlines", "a"), CARD],
        [Example("a\ttab", "b")],
        [Example('{"x": 1}', "[1]")],
        [Example("input", "output"), CARD],
        [Example("a -> b", "c -> d")],
    ],
)
def test_rows_as_text_are_read_back_as_they_are(examples: list[Example]) -> None:
    assert parse(as_text(examples)).examples == tuple(examples)


def test_what_is_odd_without_a_model_is_told_by_the_places_of_the_rows() -> None:
    other = Example("my card is gone", "pin")
    rows = [Row(PIN, is_on=False), Row(CARD), Row(PIN), Row(other), Row(PIN)]
    found = look_through(rows)
    assert found.contradictions == [(1, 3)] and found.doublets == [(2, 4)]
    said = "\n".join(one.plain for one in findings({}, [], found, False))
    assert "one input, two answers: 2 and 4" in said and "the same twice: 3 and 5" in said
    assert "the model has not read them" in said


def test_the_health_of_a_set_is_said_with_what_to_press() -> None:
    facts = facts_of(PIN, CARD, ODD, suspicious=3)
    said = "\n".join(one.plain for one in findings(facts, [2], None, True))
    assert said.startswith("Too few · changed since")
    assert "1 row contradicted by the others  n next  x drops" in said
    line, axes = learning_curve(facts)
    assert line.points == ((0.0, 0.0), (1.0, 0.5)) and axes.ticks == ((0.0, "1"), (1.0, "3"))
    for stretch in facts["learning"]["curve"]:
        stretch["right"] = None
    line, axes = learning_curve(facts)
    assert line.points == ((0.0, 1.0), (1.0, 0.5)) and axes.y_range is None
