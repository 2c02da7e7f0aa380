"""`yofo data convert` and `merge`: what is written is read back as the same examples."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.draws import draws
from tests.places import DATA
from yofo_mlx.commands import convert, data_request
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.errors import DataError, ExitCode
from yofo_mlx.tasks.sources import LoadedSource

ROWS = "text,category\n" + "".join(f"word {n},{'ab'[n % 2]}\n" for n in range(9))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*paths: str | Path, **keys: Any) -> list[LoadedSource]:
    groups = data_request.read(DataRequest([str(path) for path in paths], **keys))
    return [loaded for group in groups for loaded in group.sets]


def contents(sets: Sequence[LoadedSource]) -> list[Any]:
    """Return all that makes up the examples of data sets."""
    return [
        (
            loaded.family,
            loaded.instruction,
            [
                (split, [(item.example, item.answers, item.is_list) for item in items])
                for split, items in loaded.items.items()
                if items
            ],
        )
        for loaded in sets
    ]


def converted(*paths: str | Path, out: Path, **keys: Any) -> Path:
    request = DataRequest([str(path) for path in paths], **keys)
    assert convert.convert(request, out=out, split=None, force=False) == ExitCode.OK
    return out


TEXT = st.text(max_size=12) | st.sampled_from(
    ["input", "output", "\ud800", " Output", "a\r\nb", "\u2028x\x85y", "\x00", "[{", "é\x1b[2J"]
)
ROW = st.fixed_dictionaries(
    {"text": TEXT, "label": TEXT | st.lists(TEXT, max_size=3)},
    optional={"system": st.sampled_from(["Be kind.", "Be brief.\n\nAnd plain."])},
)
KEYS = {"input": "{system?}{text}", "output": "label"}


@draws(150)
@example([{"text": "input", "label": "output"}], {})
@example([{"text": "input", "label": "output"}], {"separator": " / "})
@example([{"prompt": "input", "completion": "output", "system": "system"}] * 2, {})
@given(
    st.lists(ROW, min_size=1, max_size=6),
    st.sampled_from([{}, {"separator": " / "}, {"instruction": "Say what it is."}]),
)
def test_any_rows_are_read_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], keys: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {} if "prompt" in rows[0] else KEYS
    options = {
        "overrides": ["bad_rows=drop", *(f"{key}={value}" for key, value in keys.items())],
        **columns,
    }
    before = read(folder / "a.jsonl", **options)
    try:
        out = converted(folder / "a.jsonl", out=folder / "b.jsonl", **options)
    except DataError:  # there was no good row
        assert not any(before[0].all_items()) and not (folder / "b.jsonl").exists()
        return
    assert [loaded.problems for loaded in read(out)] == [[]]
    examples = [[(i.example, i.answers) for i in one.all_items()] for one in (*before, *read(out))]
    if "separator" in keys:  # then lists are written as they are joined
        examples = [[example for example, _ in one] for one in examples]
        assert examples[0] == examples[1]
    else:
        assert contents(read(out)) == contents(before)


@pytest.mark.skipif(not DATA.is_dir(), reason="no real data beside this checkout (../shared/data)")
@pytest.mark.parametrize("name", ["banking77", "bbh/snarks.json", "nli", "gsm8k"])
def test_real_data_are_read_back_as_they_were(tmp_path: Path, name: str) -> None:
    out = converted(DATA / name, out=tmp_path / "out")
    assert contents(read(out)) == contents(read(DATA / name))


def test_several_answers_to_a_question_are_all_written_and_the_family_is_told(
    here: Path, yofo: Any
) -> None:
    answers = {"text": ["Ann", "Ann Lee"], "answer_start": [0, 0]}
    row = {"context": "Ann Lee is here.", "question": "Who?", "answers": answers}
    (here / "a.jsonl").write_text(json.dumps(row) + "\n")
    _, _, err = yofo("data", "convert", "a.jsonl", "--out", "b.jsonl")
    assert "--set family=qa" in err
    assert json.loads((here / "b.jsonl").read_text())["output"] == ["Ann", "Ann Lee"]
    assert contents(read("b.jsonl", overrides=["family=qa"])) == contents(read("a.jsonl"))


def test_what_rows_say_beside_the_answer_is_written_too(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"q": "one", "a": "yes", "not": "no", "unsure": 0.5, "taught": [[[3, 0.75], [4, 0.25]]]},
        {"q": "two", "a": "no", "not": "", "unsure": 0, "taught": None},
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = ["rejected=not", "doubt=unsure", "teacher=taught"]
    said = {"input": "q", "output": "a", "overrides": keys}
    converted("rows.jsonl", out=here / "all.jsonl", **said)
    err = capsys.readouterr().err
    told = [f"--set {key}={key}" for key in ("rejected", "doubt", "teacher")]
    assert all(words in err for words in told)
    [before] = read("rows.jsonl", **said)
    [after] = read("all.jsonl", overrides=[words.removeprefix("--set ") for words in told])
    for one, other in zip(before.all_items(), after.all_items(), strict=True):
        assert repr(one.example) == repr(other.example)
        assert one.example.teacher == other.example.teacher


def test_splits_are_files_of_a_folder_and_never_joined_unasked(here: Path, yofo: Any) -> None:
    (here / "set").mkdir()
    (here / "set" / "train.csv").write_text(ROWS)
    (here / "set" / "test.csv").write_text(ROWS.replace("word", "other"))
    code, out, err = yofo("data", "convert", "set")
    assert (code, out) == (2, "") and "--split train" in err
    code, out, _ = yofo("data", "convert", "set", "--split", "test")
    assert code == 0 and json.loads(out.splitlines()[0]) == {"input": "other 0", "output": "a"}
    assert len(yofo("data", "convert", "set", "--split", "all")[1].splitlines()) == 18
    assert yofo("data", "convert", "set", "--split", "valid")[0] == 2
    code, out, err = yofo("data", "convert", "set", "--out", "new")
    assert (code, out) == (0, "new\n") and "next: yofo data preview new" in err
    assert sorted(path.name for path in (here / "new").iterdir()) == ["test.jsonl", "train.jsonl"]
    assert contents(read("new")) == contents(read("set"))


def test_several_data_sets_are_a_file_or_a_folder_each(here: Path, yofo: Any) -> None:
    (here / "a.csv").write_text(ROWS)
    (here / "b").mkdir()
    for split in ("train", "test"):
        (here / "b" / f"{split}.csv").write_text(ROWS.replace("word", split))
    assert yofo("data", "convert", "a.csv", "b")[0] == 2
    code, _, err = yofo("data", "convert", "a.csv", "b", "--out", "all")
    assert code == 0 and "next: yofo data preview all/*" in err
    made = sorted((here / "all").iterdir())
    assert contents(read(*made)) == contents(read("a.csv", "b"))


def test_nothing_is_written_over_unless_forced(here: Path, yofo: Any) -> None:
    (here / "a.csv").write_text(ROWS)
    for out in ("b.jsonl", "folder"):
        assert yofo("data", "convert", "a.csv", "--out", out)[0] == 0
    (here / "folder" / "train.jsonl").write_text("mine")
    (here / "b.jsonl").write_text("mine")
    for out in ("b.jsonl", "folder"):
        code, _, err = yofo("data", "convert", "a.csv", "--out", out)
        assert code == 2 and f"{out} exists already" in err and "--force" in err
    assert (here / "b.jsonl").read_text() == (here / "folder" / "train.jsonl").read_text() == "mine"
    for out in ("b.jsonl", "folder"):
        code, _, err = yofo("data", "convert", "a.csv", "--out", out, "--force")
        assert code == 0 and "as before" not in err
        assert contents(read(out)) == contents(read("a.csv"))
    assert not list(here.rglob(".part*"))
    (here / "folder" / "valid.jsonl").write_text('{"input": "x", "output": "y"}\n')
    err = yofo("data", "convert", "a.csv", "--out", "folder", "--force")[2]
    assert "also in folder, as before: valid.jsonl" in err


@pytest.mark.parametrize("out", ["x.csv", "x.parquet", "x.jsonl.gz", "no/such/x.jsonl", "no/such"])
def test_a_place_that_cannot_be_written_is_refused(here: Path, yofo: Any, out: str) -> None:
    (here / "a.csv").write_text(ROWS)
    code, shown, err = yofo("data", "convert", "a.csv", "--out", out)
    assert (code, shown) == (2, "") and "error: " in err
    assert [path.name for path in here.iterdir()] == ["a.csv"]


def test_bad_rows_stop_it_or_are_counted(here: Path, yofo: Any) -> None:
    (here / "a.csv").write_text(ROWS + ",a\n,b\n")
    code, out, err = yofo("data", "convert", "a.csv", "--out", "b.jsonl")
    assert (code, out) == (3, "") and "yofo data check a.csv" in err and "bad_rows=drop" in err
    assert not (here / "b.jsonl").exists()
    code, out, err = yofo("data", "convert", "a.csv", "--set", "bad_rows=drop")
    assert code == 0 and len(out.splitlines()) == 9
    assert "2 warnings: `text` is empty; the first: a.csv:11: `text` is empty" in err


def test_merging_makes_one_task_and_tells_what_does_not_fit(here: Path, yofo: Any) -> None:
    (here / "a.csv").write_text(ROWS)
    (here / "b.csv").write_text(ROWS.replace("word 0,a", "word 0,b") + "new,A\n")
    code, out, err = yofo("data", "merge", "a.csv", "b.csv", "--out", "c.jsonl")
    assert (code, out) == (0, "c.jsonl\n")
    assert "8 repeated rows left out; --keep-repeats keeps them" in err
    assert "same input, other answer; the first: b.csv:2" in err and "'A' is also spelled" in err
    assert len((here / "c.jsonl").read_text().splitlines()) == 11
    yofo("data", "merge", "a.csv", "b.csv", "--out", "d.jsonl", "--keep-repeats")
    assert len((here / "d.jsonl").read_text().splitlines()) == 19


def test_instructions_that_differ_stand_before_the_inputs(here: Path, yofo: Any) -> None:
    for name, system in (("a", "Be kind."), ("b", "Be brief.")):
        rows = [{"system": system, "input": f"{name}{n}", "output": "x"} for n in range(3)]
        (here / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = yofo("data", "merge", "a.jsonl", "b.jsonl", "--out", "c.jsonl")
    assert code == 0 and "2 instructions: each stands before its rows' inputs" in err
    inputs = [item.example.input for item in read("c.jsonl")[0].all_items()]
    assert inputs[0] == "Be kind.\n\na0" and inputs[-1] == "Be brief.\n\nb2"
    yofo("data", "merge", "a.jsonl", "a.jsonl", "--out", "d.jsonl")
    assert read("d.jsonl")[0].instruction == "Be kind."


def test_what_a_terminal_would_obey_is_escaped_and_still_the_same(here: Path, yofo: Any) -> None:
    (here / "a.jsonl").write_text(json.dumps({"input": "\x1b[2J\u202ex é", "output": "y"}))
    out = yofo("data", "convert", "a.jsonl")[1]
    assert "\x1b" not in out and "\u202e" not in out
    assert json.loads(out)["input"] == "\x1b[2J\u202ex é"
