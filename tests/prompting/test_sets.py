"""Named demonstration sets: what is added is read back, what a person wrote stays."""

import errno
import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.errors import DataError, RecipeError, RunError
from yofo_mlx.prompting import demonstrations, sets
from yofo_mlx.prompting.sets import DemoSet
from yofo_mlx.system import files, paths
from yofo_mlx.tasks.task import Example

ROWS = [Example(f"message {n}", "sales" if n % 2 else "billing") for n in range(6)]
SET = DemoSet("tickets")


def rows_of(one: DemoSet = SET) -> list[Example]:
    return [item.example for item in one.read().all_items()]


texts = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))
    .map(str.strip)
    .filter(bool)
)


@given(st.lists(st.builds(Example, texts, texts), min_size=1, max_size=5))
@draws(40)
def test_what_is_added_is_read_back(rows: list[Example]) -> None:
    if sets.find("any"):
        sets.drop(DemoSet("any"))
    added = sets.add(DemoSet("any"), rows)
    assert rows_of(DemoSet("any")) == list(dict.fromkeys(rows))
    assert (added.added, added.doublets) == (len(set(rows)), len(rows) - len(set(rows)))
    _, kept = sets.drop(DemoSet("any"))
    assert demonstrations.read(str(kept)).examples == tuple(dict.fromkeys(rows))


def test_rows_are_added_once_at_the_end_and_contradictions_are_counted() -> None:
    sets.add(SET, ROWS[:2])
    added = sets.add(SET, [ROWS[0], Example("message 1", "billing"), ROWS[2], ROWS[2]])
    assert added == sets.Added(rows=4, added=2, doublets=2, contradictions=1)
    assert rows_of() == [*ROWS[:2], Example("message 1", "billing"), ROWS[2]]


def test_a_set_is_lines_that_a_person_could_have_written() -> None:
    sets.add(SET, ROWS[:1], "Name the team.")
    assert SET.path.read_text() == '{"input": "message 0", "output": "billing"}\n'
    assert SET.path.with_suffix(".txt").read_text() == "Name the team.\n"
    assert SET.instruction == "Name the team."
    SET.instruct("")
    assert [path.name for path in paths.demos().iterdir()] == ["tickets.jsonl"]


def test_lines_that_a_person_wrote_stay_as_they_are() -> None:
    paths.demos().mkdir(parents=True)
    by_hand = (
        b'{"output":"b",  "input": "a", "note": 1}\r\n\nnonsense\n{"input": "c", "output": "d"}'
    )
    SET.path.write_bytes(by_hand)
    assert len(SET.read().problems) == 1
    sets.add(SET, ROWS[:1])
    assert SET.path.read_bytes() == by_hand + b'\n{"input": "message 0", "output": "billing"}\n'
    assert sets.remove(SET, [range(2, 4)])[0] == 2
    assert SET.path.read_bytes() == b'{"output":"b",  "input": "a", "note": 1}\r\n\nnonsense\n'


def test_dropped_rows_can_be_added_again() -> None:
    sets.add(SET, ROWS, "Name the team.")
    gone, kept = sets.remove(SET, [range(2, 3), range(4, 6), range(4, 5)])
    assert (gone, rows_of()) == (3, [ROWS[0], ROWS[2], ROWS[5]])
    assert demonstrations.read(str(kept)).examples == (ROWS[1], ROWS[3], ROWS[4])
    _, kept = sets.drop(SET)
    assert (sets.find("tickets"), SET.instruction) == (None, "")
    again = demonstrations.read(str(kept))
    assert again.examples == (ROWS[0], ROWS[2], ROWS[5])
    assert again.instruction == "Name the team."


def test_a_set_with_lines_that_are_no_rows_is_dropped_as_it_stands() -> None:
    sets.add(SET, ROWS, "Name the team.")
    SET.path.write_text("nonsense\n")
    _, kept = sets.drop(SET)
    assert kept.read_text() == "nonsense\n"
    assert kept.with_suffix(".txt").read_text() == "Name the team.\n"


@pytest.mark.parametrize("span", [range(0, 1), range(7, 8), range(5, 3), range(1, 10**12)])
def test_rows_that_are_not_there_are_refused_and_nothing_changes(span: range) -> None:
    sets.add(SET, ROWS)
    with pytest.raises(RecipeError, match="has 6 rows, and no row"):
        sets.remove(SET, [range(1, 2), span])
    assert rows_of() == ROWS


@pytest.mark.parametrize(
    "name", ["", "-", "a.b", "a/b", "../a", ".a", "-a", "tiny:x", "a b", "x" * 101, "\udcff", "_"]
)
def test_what_could_be_a_file_is_no_name(name: str) -> None:
    assert sets.find(name) is None
    with pytest.raises(RecipeError):
        sets.checked(name)


def test_an_unknown_name_tells_one_like_it() -> None:
    sets.add(SET, ROWS)
    with pytest.raises(RecipeError) as caught:
        sets.get("tikets")
    assert caught.value.hint == "did you mean tickets?"


def test_a_set_wins_over_a_file_of_its_name_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sets.add(SET, ROWS[:2], "Name the team.")
    Path("tickets").write_text("a -> b\n")
    parsed = demonstrations.read("tickets")
    assert (parsed.examples, parsed.of_set) == (tuple(ROWS[:2]), "tickets")
    assert parsed.instruction == "Name the team."
    assert parsed.notes == ("the set of that name; what lies here is ./tickets",)
    assert demonstrations.read("./tickets").examples == (Example("a", "b"),)


def _add_some(home: Path, which: int) -> None:
    os.environ["YOFO_HOME"] = str(home)
    for n in range(10):
        sets.add(SET, [Example(f"from {which}, number {n}", "x")])


def test_two_processes_that_add_at_once_lose_nothing(yofo_home: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_some, args=(yofo_home, n)) for n in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(rows_of()) == 20


def test_a_full_disk_leaves_the_set_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    sets.add(SET, ROWS[:2])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_sync", full)
    with pytest.raises(RunError, match="is full"):
        sets.add(SET, ROWS)
    with pytest.raises(RunError, match="is full"):
        sets.remove(SET, [range(1, 2)])
    assert rows_of() == ROWS[:2]
    assert not [path for path in paths.demos().iterdir() if path.name.startswith(files.PART)]


def test_text_that_is_not_utf8_is_told_and_left(tmp_path: Path) -> None:
    sets.add(SET, ROWS)
    SET.path.write_bytes(b"\xff\xfe{}\n")
    with pytest.raises(DataError, match="not UTF-8"):
        sets.add(SET, ROWS)
    assert SET.path.read_bytes() == b"\xff\xfe{}\n"


def test_a_saved_line_holds_nothing_that_a_terminal_obeys() -> None:
    sets.add(SET, [Example("red \x1b[31m", "ü\u202e")])
    text = SET.path.read_text("utf-8")
    assert "\x1b" not in text and "\u202e" not in text
    assert json.loads(text) == {"input": "red \x1b[31m", "output": "ü\u202e"}


def test_rows_put_in_a_sets_place_leave_the_old_ones_in_a_file() -> None:
    one = sets.checked("cards")
    pair, odd = Example("card gone", "lost"), Example("input", "output")  # as a header would be
    assert sets.put(one, [pair, odd], "Name it.") is None
    assert [item.example for item in one.read().all_items()] == [pair, odd]
    before = one.path.read_text()
    kept = sets.put(one, [odd], "")
    assert kept is not None and kept.read_text() == before
    assert [item.example for item in one.read().all_items()] == [odd] and not one.instruction
