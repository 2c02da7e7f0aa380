"""Rows out are rows in, in their order, whatever is killed when."""

import csv
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from tests.fakes import ByteTokenizer
from yofo_mlx.answering import job
from yofo_mlx.answering.asking import TEXT_COLUMNS, Entry, Question
from yofo_mlx.answering.job import Job
from yofo_mlx.answering.journal import journal_of
from yofo_mlx.answering.queries import Wanted, look
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import DataError, FitError, RecipeError, RunError
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.recipe.schema import Template
from yofo_mlx.system import files
from yofo_mlx.system.lines import GrowingFile


class Killed(BaseException):
    """The process ends: nothing cleans up."""


class LongPrefix:
    """Makes questions of texts; long ones do not fit."""

    segmenter = Segmenter(ByteTokenizer(), Template(style="plain", output="{output}\n"))

    def question(self, text: str, answer_tokens: int = 1) -> list[int]:
        if len(text) > 20:
            raise FitError("the query is too long")
        return list(text.encode())


class Echo:
    """Answers with the question, and counts what it was asked."""

    columns: ClassVar[Mapping[str, type]] = TEXT_COLUMNS
    answer_tokens = 1
    blocks = None

    def __init__(self) -> None:
        self.prefix: Any = LongPrefix()
        self.asked = 0

    def answers(self, prefix: Prefix, questions: Sequence[Question]) -> Iterator[tuple[int, Entry]]:
        for place in reversed(range(len(questions))):
            self.asked += 1
            yield place, {"answer": bytes(questions[place]).decode(), "complete": True}

    def cells(self, entry: Entry) -> Entry:
        return entry


def made(folder: Path, echo: Echo, out: str = "out.csv", *, asked: str = "this") -> Job:
    table = look(str(folder / "data.csv"), Wanted(input="text"))
    return Job(table, folder / out, echo, {"model": asked}, "yofo_", at_once=3)


def write(folder: Path, texts: Sequence[str]) -> None:
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["id", "text"], *([n, text] for n, text in enumerate(texts))])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


TEXTS = st.lists(
    st.sampled_from(["a", "b, c", 'say "x"', "two\nlines", "", " ", "é", "x" * 30]),
    min_size=1,
    max_size=12,
).filter(lambda texts: any(text.strip() for text in texts))


@draws(60)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 8), st.integers(0, 60)), max_size=5))
def test_rows_out_are_rows_in_whatever_is_killed_when(
    texts: list[str], kills: list[tuple[int, int]]
) -> None:
    """Each kill: at which write, and how many bytes of it are on the disk."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder, echo = Path(name), Echo()
        write(folder, texts)
        whole, replace = GrowingFile.add, os.replace
        for at, nbytes in kills:
            left = [at]

            def add(self: GrowingFile, lines: bytes, left: Any = left, cut: int = nbytes) -> None:
                if left[0] == 0:
                    with self.path.open("ab") as file:
                        file.write(lines[:cut])
                    raise Killed
                left[0] -= 1
                whole(self, lines)

            def rename(*paths: Any, left: Any = left) -> None:
                if left[0] <= 0:
                    raise Killed
                left[0] -= 1
                replace(*paths)

            patch.setattr(GrowingFile, "add", add)
            patch.setattr(files.os, "replace", rename)
            if not job.is_done(folder / "out.csv", resume=True):
                try:
                    job.run(made(folder, echo))
                except Killed:
                    continue
        patch.undo()
        if not job.is_done(folder / "out.csv", resume=True):
            job.run(made(folder, echo))
        rows = read(folder / "out.csv")
        assert [(row["id"], row["text"]) for row in rows] == [
            (str(n), text) for n, text in enumerate(texts)
        ]
        for text, row in zip(texts, rows, strict=True):
            answer = text.strip() if len(text) <= 20 else ""
            assert row["yofo_answer"] == answer
            assert bool(row["yofo_error"]) == (not answer)
        assert [path.name for path in folder.iterdir() if path.name not in ("data.csv",)] == [
            "out.csv"
        ]
        # A kill costs the group at hand and no more.
        assert echo.asked <= len(texts) + 3 * len(kills)


@pytest.mark.parametrize(
    "out", ["o.csv", "o.tsv", "o.jsonl", "o.jsonl.gz", "o.csv.gz", "o.parquet"]
)
def test_every_format_holds_the_rows_and_can_be_read_again(tmp_path: Path, out: str) -> None:
    texts = ["a", "b, c", "two\nlines", "x" * 30]
    write(tmp_path, texts)
    summary = job.run(made(tmp_path, Echo(), out))
    assert (summary.rows, summary.failed) == (4, 1)
    again = [*look(str(tmp_path / out), Wanted(input="text"))]
    assert [query.text for query in again] == texts
    assert [query.fields["yofo_answer"] or "" for query in again] == [*texts[:3], ""]
    assert [query.fields["id"] for query in again] == ["0", "1", "2", "3"]
    assert again[3].fields["yofo_error"] == "the query is too long"


def test_a_carriage_return_in_a_cell_ends_no_row(tmp_path: Path) -> None:
    write(tmp_path, ["one", "two"])
    with (tmp_path / "data.csv").open("a", newline="") as file:
        file.write('2,"re\rturn"\n')
    what = made(tmp_path, Echo())
    job.run(what)
    assert [row["text"] for row in read(what.out)] == ["one", "two", "re\rturn"]


def test_an_answer_of_two_lines_is_right_that_a_model_can_only_write_on_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "data.csv").write_text('text,label\ntwo lines,"two\nlines"\nother,"two\nlines"\n')
    table = look(str(tmp_path / "data.csv"), Wanted())
    summary = job.run(Job(table, tmp_path / "out.csv", Echo(), {}, "yofo_"))
    assert summary.content()["exact"] == 0.5


def test_a_date_stands_in_a_table_as_it_reads(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": ["a"], "day": [date(2020, 1, 31)], "list": [[1, None]]})
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    found = look(str(tmp_path / "data.parquet"), Wanted(input="text"))
    job.run(Job(found, tmp_path / "o.csv", Echo(), {}, ""))
    [row] = read(tmp_path / "o.csv")
    assert (row["day"], row["list"]) == ("2020-01-31", "[1, null]")


def test_parquet_keeps_the_types_of_its_columns(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(
        {
            "text": ["a", "b"],
            "n": pyarrow.array([1, None], pyarrow.int16()),
            "tags": [["x"], []],
            "at": pyarrow.array([0, 86_400_000], pyarrow.timestamp("ms")),
            "took": pyarrow.array([1, 10**12 + 5], pyarrow.duration("ns")),
            "long": pyarrow.array([1000, None], pyarrow.duration("ns")),
            "then": pyarrow.array([1, None], pyarrow.timestamp("ns")),
            "within": pyarrow.array(
                [{"took": 1, "each": [5, None]}, None],
                pyarrow.struct(
                    {"took": pyarrow.duration("ns"), "each": pyarrow.list_(pyarrow.duration("ns"))}
                ),
            ),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    asked = Job(
        look(str(tmp_path / "data.parquet"), Wanted()), tmp_path / "o.parquet", Echo(), {}, "y_"
    )
    job.run(asked)
    found = pyarrow.parquet.read_table(tmp_path / "o.parquet")
    assert found.select(table.column_names).equals(table)
    assert found["y_answer"].to_pylist() == ["a", "b"]


def test_json_lines_of_mixed_values_become_columns(tmp_path: Path) -> None:
    import pyarrow.parquet

    lines = [
        {"text": "a", "n": 1},
        {"text": "b", "n": 0.5, "more": {"k": [1]}},
        {"n": 2, "text": "c"},
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = look(str(tmp_path / "d.jsonl"), Wanted())
    job.run(Job(table, tmp_path / "o.parquet", Echo(), {}, ""))
    found = pyarrow.parquet.read_table(tmp_path / "o.parquet").to_pylist()
    assert [row["n"] for row in found] == [1.0, 0.5, 2.0]
    assert [row["more"] for row in found] == [None, '{"k": [1]}', None]


def test_what_parquet_cannot_hold_is_told_and_the_answers_are_kept(tmp_path: Path) -> None:
    import pyarrow.parquet

    lines = [{"text": "a", "n": 1, "m": 2**70}, {"text": "b", "n": 2**80, "m": 2**70}]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    job.run(Job(look(str(tmp_path / "d.jsonl"), Wanted()), tmp_path / "o.parquet", Echo(), {}, ""))
    found = pyarrow.parquet.read_table(tmp_path / "o.parquet")
    assert found["n"].to_pylist() == ["1", str(2**80)]
    assert found["m"].to_pylist() == [str(2**70)] * 2
    (tmp_path / "d.jsonl").write_text('{"text": "a", "n": "\\ud800"}\n')
    table, echo = look(str(tmp_path / "d.jsonl"), Wanted()), Echo()
    with pytest.raises(DataError, match="cannot hold a row as Parquet"):
        job.run(Job(table, tmp_path / "p.parquet", echo, {}, ""))
    journal_of(tmp_path / "p.parquet").rename(journal_of(tmp_path / "p.jsonl"))
    job.run(Job(table, tmp_path / "p.jsonl", echo, {}, ""))
    assert echo.asked == 1


def fails_after(patch: pytest.MonkeyPatch, writes: int) -> None:
    """Let the disk be full after some writes to the journal, the last of them in its midst."""
    raw = GrowingFile.__enter__
    left = [writes]

    class Full:
        def __init__(self, file: Any) -> None:
            self._file = file

        def write(self, data: Any) -> int:
            if left[0] > 0:
                left[0] -= 1
                return self._file.write(data)  # type: ignore[no-any-return]
            if left[0] == 0:
                left[0] -= 1
                return self._file.write(bytes(data)[:5])  # type: ignore[no-any-return]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    def enter(self: GrowingFile) -> GrowingFile:
        raw(self)
        self._file = Full(self._file)  # type: ignore[assignment]
        return self

    patch.setattr(GrowingFile, "__enter__", enter)


def test_a_full_disk_is_told_and_costs_nothing_that_was_finished(tmp_path: Path) -> None:
    write(tmp_path, [f"q{n}" for n in range(10)])
    echo = Echo()
    with pytest.MonkeyPatch.context() as patch:
        fails_after(patch, 3)  # what they depend on, and two rows of three that were asked
        with pytest.raises(RunError, match="is full") as caught:
            job.run(made(tmp_path, echo))
    assert "--resume" in caught.value.hint
    assert not (tmp_path / "out.csv").exists()
    job.run(made(tmp_path, echo))
    assert echo.asked == 3 + 8
    assert len(read(tmp_path / "out.csv")) == 10


def test_a_full_disk_leaves_no_half_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ["a", "b"])
    echo = Echo()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_sync", full)
        with pytest.raises(RunError, match="is full"):
            job.run(made(tmp_path, echo))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "out.csv.unfinished"]
    job.run(made(tmp_path, echo))
    assert echo.asked == 2  # the answers were kept


def test_a_file_that_changes_while_it_is_read_is_told_and_goes_on(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b", "c", "d", "e"])
    echo = Echo()

    class Editing(Echo):
        def answers(
            self, prefix: Prefix, questions: Sequence[Question]
        ) -> Iterator[tuple[int, Entry]]:
            write(tmp_path, ["a", "b", "c", "other", "e", "f"])
            return echo.answers(prefix, questions)

    with pytest.raises(DataError, match="has changed while it was read") as caught:
        job.run(made(tmp_path, Editing()))
    assert "--resume" in caught.value.hint
    asked = echo.asked
    job.run(made(tmp_path, echo))
    assert echo.asked <= asked + 3  # from the row that changed on
    assert [row["yofo_answer"] for row in read(tmp_path / "out.csv")] == [
        "a", "b", "c", "other", "e", "f",
    ]  # fmt: skip


def test_a_column_that_appears_while_it_is_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, ["a"])
    asked = made(tmp_path, Echo())
    (tmp_path / "data.csv").write_text("id,more,text\n0,x,a\n")
    with pytest.raises(DataError, match="has changed while it was read"):
        job.run(asked)
    assert not (tmp_path / "out.csv").exists()


def test_answers_of_another_model_are_not_gone_on_with(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job.output, "write", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            job.run(made(tmp_path, Echo()))
    with pytest.raises(RunError, match="begun with other model"):
        job.run(made(tmp_path, Echo(), asked="that"))
    assert journal_of(tmp_path / "out.csv").exists()


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    with pytest.raises(RecipeError, match="which format"):
        job.is_done(tmp_path / "o.txt", resume=False)
    with pytest.raises(RecipeError, match="no folder"):
        job.is_done(tmp_path / "none" / "o.csv", resume=False)
    assert not job.is_done(out, resume=False)
    out.write_text("mine")
    with pytest.raises(RecipeError, match="exists"):
        job.is_done(out, resume=False)
    assert job.is_done(out, resume=True)
    journal_of(out).write_text("mine")
    with pytest.raises(RecipeError, match="was begun before"):
        job.is_done(out, resume=False)
    write(tmp_path, ["a"])
    with pytest.raises(RunError, match="in the way"):
        job.run(made(tmp_path, Echo(), "o.csv"))
    assert journal_of(out).read_text() == "mine"


def test_two_processes_do_not_write_to_one_output(tmp_path: Path) -> None:
    write(tmp_path, ["a"])
    held = GrowingFile(journal_of(tmp_path / "out.csv"), RunError("held"))
    with held, pytest.raises(RunError, match="another process writes"):
        job.run(made(tmp_path, Echo()))
