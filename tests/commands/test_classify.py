"""`yofo classify` and `yofo ask` from the command line, on the embedded model."""

import csv
import errno
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import start, worked
from yofo_mlx.answering.journal import Journal
from yofo_mlx.evaluation import calibration
from yofo_mlx.system.quantities import plural

Row = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pairs = [
        f"{word} {n},{label}" for n in range(3) for word, label in (("cat", "a"), ("dog", "b"))
    ]
    (tmp_path / "demos.csv").write_text("\n".join(["text,label", *pairs, ""]))
    lines = ["id,text,label", "1,cat 7,a", "2,,b", "3,dog 8,b", "4,bird 9,c", ""]
    (tmp_path / "data.csv").write_text("\n".join(lines))
    return tmp_path


ASKED = ("tiny", "--demos", "demos.csv", "--data", "data.csv", "--out", "out.csv")


def rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_row_gets_its_label_and_the_file_its_figures(yofo: Any, folder: Path) -> None:
    asked = ("classify", "tiny", "--demos", "demos.csv", "--data", "data.csv", "--out", "out.csv")
    code, out, err = yofo(*asked, "--json", "--picture", "sure.svg")
    assert code == 3  # one row has no query
    assert "`yofo_error` says why" in err
    found = rows(folder / "out.csv")
    assert [row["id"] for row in found] == ["1", "2", "3", "4"]
    assert {row["yofo_label"] for row in found} <= {"a", "b", ""}
    assert found[1]["yofo_error"] == "data.csv:3: `text` is empty"
    for row in (found[0], found[2], found[3]):
        [[other, share]] = json.loads(row["yofo_runners_up"])
        assert {other, row["yofo_label"]} == {"a", "b"}
        assert float(row["yofo_probability"]) + share == pytest.approx(1, abs=1e-5)
        assert float(row["yofo_margin"]) == pytest.approx(1 - 2 * share, abs=1e-5)
    summary = json.loads(out)
    right = sum(row["label"] == row["yofo_label"] for row in found)
    assert summary["accuracy"] == right / 3  # the label that no demonstration has is never right
    assert (summary["rows"], summary["failed"], summary["labelled"]) == (4, 1, 3)
    assert (folder / "sure.svg").exists()
    assert not (folder / "out.csv.unfinished").exists()
    code, out, err = yofo(*asked)
    assert (code, out) == (2, "")
    assert "out.csv exists" in err
    code, out, err = yofo(*asked, "--resume")
    assert (code, out) == (0, "")
    assert "finished already" in err


def test_the_table_names_labels_and_confusions(yofo: Any, folder: Path) -> None:
    text = (folder / "data.csv").read_text().replace("2,,b\n", "")
    (folder / "data.csv").write_text(text)
    (folder / "labels.txt").write_text("a\nb\n\n c \n")
    files = ("--data", "data.csv", "--out", "out.jsonl")
    code, out, _ = yofo(
        "classify", "tiny", "--demos", "demos.csv", "--labels", "@labels.txt", *files,
        "--runners-up", "all", "--prefix", "new ", "--calibrate",
    )  # fmt: skip
    assert code == 0
    assert "of 3 with an answer: accuracy" in out
    assert "expected -> answered:" in out
    found = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert all(len(row["new runners_up"]) == 2 for row in found)
    assert all(row["new error"] is None for row in found)


def test_a_label_in_two_spellings_is_told(yofo: Any, folder: Path) -> None:
    _, out, err = yofo("classify", *ASKED, "--labels", "A|B")
    assert "warning: 'a' is shown, 'A' is a label: spell a label in one way" in err
    assert " is answered: one label in two spellings counts as two" in out


def test_free_answers_come_row_by_row(yofo: Any, folder: Path) -> None:
    code, out, _ = yofo(
        "ask", "tiny", "--demos", "demos.csv", "--data", "data.csv", "--out", "o.jsonl",
        "--max-tokens", "3",
    )  # fmt: skip
    assert code == 3
    assert "Exact match" in out
    found = [json.loads(line) for line in (folder / "o.jsonl").read_text().splitlines()]
    assert [row["id"] for row in found] == ["1", "2", "3", "4"]
    assert [isinstance(row["yofo_answer"], str) for row in found] == [True, False, True, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "o.csv", "--data", "none.csv"), "no such file"),
        (("--out", "o.txt", "--data", "data.csv"), "which format"),
        (("--out", "data.csv", "--data", "data.csv"), "exists"),
        (("--out", "o.csv", "--data", "data.csv", "--prefix", ""), "columns already"),
        (("--out", "o.csv", "--data", "data.csv", "--input", "txt"), "did you mean `text`"),
        (("--out", "o.csv", "--data", "data.csv", "--runners-up", "x"), "a number, or `all`"),
        (("--out", "o.csv", "--data", "data.csv", "--picture", "x.gif"), "pictures are"),
        (("--out", "o.csv", "--data", "data.csv", "--labels", "@no.txt"), "No such file"),
        (("--out", "o.csv", "--data", "data.csv", "--labels", "a"), "nothing to choose among"),
        (("--out", "o.csv", "--data", "data.csv", "--labels", " | "), "no label is among"),
        (("--out", "o.csv", "--data", "data.csv", "--picture", "no/x.svg"), "no is no folder"),
    ],
)
def test_a_mistake_is_told_in_two_lines_and_leaves_nothing(
    yofo: Any, folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, out, err = yofo("classify", "tiny", "--demos", "demos.csv", *arguments)
    assert code in (2, 3)
    assert words in err
    assert not out
    assert "Traceback" not in err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_mistakes_that_do_not_depend_on_one_another_are_told_at_once(
    yofo: Any, folder: Path
) -> None:
    (folder / "out.csv").touch()
    several = ("--input", "txt", "--picture", "x.gif", "--block", "3", "--labels", " | ")
    files = ("--data", "data.csv", "--demos", "none.csv", "--out", "out.csv")
    code, _, err = yofo("classify", "tiny", *files, *several)
    assert (code, len(err.splitlines())) == (2, 2)
    for words in ("out.csv exists", "`txt`", "x.gif", "--block", "no label", "none.csv"):
        assert words in err
    code, _, err = yofo("classify", "tiny", "--adapter", "none", *files)
    assert code == 2 and "out.csv exists" in err and "there is no adapter in" in err


def test_a_picture_that_fails_costs_no_figures(
    yofo: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sure.svg").mkdir()
    asked = ("classify", "tiny", "--demos", "demos.csv", "--data", "data.csv", "--out", "out.csv")
    code, _, err = yofo(*asked, "--picture", "sure.svg")
    assert (code, "is a folder" in err) == (2, True)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(calibration, "draw", lambda *_: (_ for _ in ()).throw(full))
    _, out, err = yofo(*asked, "--picture", "other.svg", "--json")
    assert "is full" in err
    assert json.loads(out)["rows"] == 4


def test_what_is_neither_a_run_nor_a_model_is_refused(yofo: Any, folder: Path) -> None:
    code, _, err = yofo("classify", "none", "--data", "data.csv", "--out", "o.csv")
    assert code == 2
    assert "no run 'none'" in err
    code, _, err = yofo("classify", "tiny", "--data", "data.csv", "--out", "o.csv")
    assert code == 2
    assert "--labels" in err


def test_demonstrations_of_other_columns_than_the_data_are_read_by_their_own(
    yofo: Any, folder: Path
) -> None:
    (folder / "data.csv").write_text("message\ncat 7\n")
    files = ("--data", "data.csv", "--out", "o.csv", "--input", "message")
    code, _, err = yofo("classify", "tiny", "--demos", "demos.csv", *files)
    assert code == 0, err
    assert rows(folder / "o.csv")[0]["yofo_label"] in ("a", "b")


@pytest.mark.parametrize("verb", ["classify", pytest.param("ask", marks=pytest.mark.long)])
def test_ctrl_c_keeps_the_rows_that_are_answered_and_resume_goes_on(
    yofo: Any, folder: Path, verb: str
) -> None:
    """Also within three tenths of a second of work, of a process of its own."""
    lines = [f"{n},what is {n} of {n} cats,a" for n in range(300)]
    (folder / "data.csv").write_text("\n".join(["id,text,label", *lines, ""]))
    process = start(verb, *ASKED, stderr=subprocess.PIPE, text=True)
    kept = folder / "out.csv.unfinished"
    while process.poll() is None and (not kept.exists() or kept.read_bytes().count(b"\n") < 2):
        time.sleep(0.01)
    begun = worked(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    told = next(line for line in process.stderr if "are answered, and kept" in line)
    assert worked(process.pid) - begun < 0.3
    assert "--resume" in process.stderr.read()
    assert process.wait(60) == 130
    done = int(told.split()[0])
    assert 1 <= done < 300 and kept.read_bytes().count(b"\n") == done + 1
    (folder / "data.csv").write_text("\n".join(["id,text,label", *lines[: done + 1], ""]))
    code, _, err = yofo(verb, *ASKED, "--resume")
    assert code == 0 and f"{plural(done, 'row')} are answered already" in err
    assert [row["id"] for row in rows(folder / "out.csv")] == [str(n) for n in range(done + 1)]


def test_a_run_that_answers_nothing_leaves_nothing_in_the_way(folder: Path) -> None:
    with Journal(folder / "out.csv") as journal:
        journal.begin({"model": "one"})
    assert not journal.path.exists()


WRONG = {
    "a way that is none": (["--choose", "nonsense"], "'nonsense' is not one of 'balanced'"),
    "a word for a number": (["--seed", "x"], "must be a whole number, not 'x'"),
    "a huge number": (["--seed", "9" * 5000], "has too many digits"),
    "less than the least": (["--block", "0"], "must be greater than or equal to 1, not '0'"),
    "more than the most": (["--blocks-share", "2"], "must be less than or equal to 1, not '2'"),
    "no blocks of no shots": (["--choose", "blocks", "--shots", "0"], "shows none"),
    "a template of nothing": (["--input", "{text"], "'{text' names no column"),
    "a path into a table": (["--records", "rows"], "a path inside a JSON file"),
    "no name": (["--demos", ""], "has an empty name"),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_two_lines_in_plain_words(
    yofo: Any, folder: Path, options: list[str], words: str
) -> None:
    code, out, err = yofo("classify", *ASKED, *options)
    [error, hint] = err.splitlines()[-2:]
    assert code in (2, 3) and not out
    assert error.startswith("error: ") and words in error and hint.startswith("  ")
    assert "Value error" not in err and "Input should" not in err and "parse" not in err
    assert {path.name for path in folder.iterdir()} == {"data.csv", "demos.csv"}


def test_an_interrupt_while_a_row_is_written_leaves_it_written_and_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(folder / "out.csv") as journal:
        journal.begin({"model": "one"})
        add = journal._file.add

        def interrupted(line: bytes) -> None:
            add(line)
            signal.raise_signal(signal.SIGINT)
            add(b"")  # goes on

        monkeypatch.setattr(journal._file, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.add([{"label": "a"}])
        assert journal.count == 1 and len([*journal]) == 1
