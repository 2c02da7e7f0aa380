"""`yofo data check` and `yofo data preview`: what they print, and the exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.commands import data
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.system.text import printable, shorten

GOOD = "".join(json.dumps({"input": f"in {n}", "output": f"o{n % 2}"}) + "\n" for n in range(8))
Output = pytest.CaptureFixture[str]


def test_clean_data_print_nothing_and_pass(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD)
    assert data.check(DataRequest([str(tmp_path / "a.jsonl")])) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "8 examples in 1 data set: no problems",
        f"next: yofo data preview {tmp_path / 'a.jsonl'}",
    ]


def test_every_problem_of_every_path_is_printed_with_its_line(
    tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD + 'nope\n{"input": "x"}\n')
    (tmp_path / "b.csv").write_text("text,label\n1,2,3\nhello,a\nhello,b\n")
    paths = [str(tmp_path / name) for name in ("a.jsonl", "b.csv", "c.csv")]
    assert data.check(DataRequest(paths)) == ExitCode.DATA
    out, err = capsys.readouterr()
    starts = [line.removeprefix(str(tmp_path)).split(" (")[0] for line in out.splitlines()]
    assert [start.split(":")[:2] for start in starts] == [
        ["/a.jsonl", "9"],
        ["/a.jsonl", "10"],
        ["/b.csv", "2"],
        ["/b.csv", "4"],
        ["/c.csv", " error"],
    ]
    assert err.splitlines() == [
        "10 examples in 3 data sets: 4 errors, 1 warning; mend the errors and check again",
        f"next: yofo data check {' '.join(paths)}",
    ]


def test_warnings_pass_unless_strict(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD + GOOD)
    assert data.check(DataRequest([str(tmp_path)])) == ExitCode.OK
    assert data.check(DataRequest([str(tmp_path)]), strict=True) == ExitCode.DATA


def test_json_output_is_one_list(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD + "nope\n")
    assert data.check(DataRequest([str(tmp_path / "a.jsonl")]), as_json=True) == ExitCode.DATA
    [problem] = json.loads(capsys.readouterr().out)
    assert problem["line"] == 9 and problem["severity"] == "error" and problem["hint"]


def test_files_of_one_folder_are_checked_against_each_other(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "train.jsonl").write_text(GOOD)
    (tmp_path / "valid.jsonl").write_text(GOOD.splitlines()[3] + "\n")
    data.check(DataRequest([str(tmp_path / "train.jsonl"), str(tmp_path / "valid.jsonl")]))
    out, err = capsys.readouterr()
    assert "valid.jsonl:1: warning: valid input that is also in train" in out
    assert "9 examples in 1 data set" in err


def test_a_recipe_is_checked_source_by_source(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.csv").write_text("question,reply\nhi,hello\n,hello\n")
    recipe = tmp_path / "mine.toml"
    task = '[[tasks]]\nsource = "a.csv"\ninput = "question"\noutput = "reply"\n'
    recipe.write_text(f'model = "tiny"\n[train]\nsteps = 1\n{task}')
    assert data.check(DataRequest([str(recipe)])) == ExitCode.DATA
    assert "a.csv:3: error: `question` is empty" in capsys.readouterr().out
    recipe.write_text(f'model = "tiny"\n[train]\nsteps = 1\n{task}inptu = "x"\n')
    with pytest.raises(RecipeError):
        data.check(DataRequest([str(recipe)]))


def test_held_out_rows_that_are_trained_on_are_found(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD)
    (tmp_path / "b.jsonl").write_text(GOOD.replace("in 7", "in 9").replace("in 6", "in 8"))
    recipe = tmp_path / "mine.toml"
    tasks = '[[tasks]]\nsource = "a.jsonl"\n[[tasks]]\nsource = "b.jsonl"\nrole = "held_out"\n'
    recipe.write_text(f'model = "tiny"\n[train]\nsteps = 1\n{tasks}')
    assert data.check(DataRequest([str(recipe)])) == ExitCode.OK
    assert "b.jsonl:1: warning: held-out input that task 'a' trains on (6 such rows)" in (
        capsys.readouterr().out
    )


def test_problems_of_a_kind_are_counted_and_the_first_shown(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"input": f"q{n}", "output": ""}) + "\n" for n in range(99)))
    path.write_text(path.read_text() + GOOD + "nope\n")
    assert data.check(DataRequest([str(path)])) == ExitCode.DATA
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 21 and "nope" not in out and "not JSON" in out
    assert "99 errors: `output` is empty" in err and "1 error: not JSON" in err and "--all" in err
    data.check(DataRequest([str(path)]), every=True)
    assert len(capsys.readouterr().out.splitlines()) == 100
    data.check(DataRequest([str(path)]), as_json=True)
    assert len(json.loads(capsys.readouterr().out)) == 100


def test_a_check_takes_every_key_of_a_recipe(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,y\nc,-\nd,x\ne,y\n")
    path = str(tmp_path / "a.csv")
    keys = ['labels=["x", "y"]']
    assert data.check(DataRequest([path], overrides=keys)) == ExitCode.DATA
    assert "answer '-' is not one of `labels`" in capsys.readouterr().out
    assert data.check(DataRequest([path], overrides=[*keys, "bad_rows=drop"])) == ExitCode.OK
    assert (
        data.check(DataRequest([path], overrides=[*keys, "where.label.not_in=-"]), strict=True)
        == ExitCode.OK
    )
    assert "(4 of 5 rows fit `where`)" in capsys.readouterr().err
    data.preview(DataRequest([path], overrides=["family=qa", "where.label=x"]))
    out = capsys.readouterr().out
    assert "family  qa\n" in out and "metric  f1\n" in out and "where   2 of 5 rows" in out
    with pytest.raises(RecipeError, match="did you mean `family`"):
        data.check(DataRequest([path], overrides=["famly=qa"]))


def test_shipped_recipes_and_the_embedded_suite_can_be_checked(capsys: Output) -> None:
    assert data.check(DataRequest(["tiny"]), strict=True) == ExitCode.OK
    assert data.check(DataRequest(["tiny:train"]), strict=True) == ExitCode.OK
    assert data.preview(DataRequest(["tiny:held_out"])) == ExitCode.OK
    assert "no problems" in capsys.readouterr().err


def test_two_tasks_of_one_name_are_found(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD)
    recipe = tmp_path / "mine.toml"
    tasks = '[[tasks]]\nsource = "a.jsonl"\n' * 2
    recipe.write_text(f'model = "tiny"\n[train]\nsteps = 1\n{tasks}')
    assert data.check(DataRequest([str(recipe)])) == ExitCode.DATA
    assert "task a: error: 2 tasks have this name" in capsys.readouterr().out


def test_all_wrong_columns_are_named_with_a_guess(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.csv").write_text("text,team\na,x\n")
    data.check(DataRequest([str(tmp_path / "a.csv")], input="texxt", output="tem"))
    out = capsys.readouterr().out
    assert "no field `texxt` and no field `tem`" in out
    assert "did you mean `text` and `team`?" in out


def test_a_slip_in_a_files_name_is_guessed(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "intents.csv").write_text("text,label\na,x\n")
    data.check(DataRequest([str(tmp_path / "intent.csv")]))
    assert "did you mean intents.csv? check the path" in capsys.readouterr().out


def test_columns_can_be_given(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"rows": [{"q": "a", "r": 1}, {"q": "b", "r": 2}]}))
    path = str(tmp_path / "a.json")
    assert data.check(DataRequest([path])) == ExitCode.DATA
    assert "cannot tell input and answer from the fields: q, r" in capsys.readouterr().out
    assert data.check(DataRequest([path], input="{q}?", output="r", records="rows")) == ExitCode.OK


def test_the_preview_shows_what_was_chosen(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "train.csv").write_text("text,label\n" + "a,x\nb,x\nc,y\nd,y\n")
    assert data.preview(DataRequest([str(tmp_path)])) == ExitCode.OK
    out = capsys.readouterr().out
    for part in ("text  (chosen", "label", "classification", "train 4", "2: x 2, y 2", "1. a"):
        assert part in out
    data.preview(DataRequest([str(tmp_path)]), as_json=True)
    [shown] = json.loads(capsys.readouterr().out)
    assert shown["splits"] == {"train": 4} and shown["labels"] == {"x": 2, "y": 2}


def test_the_preview_of_a_broken_file_says_where_to_look(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.jsonl").write_text("nope\n")
    assert data.preview(DataRequest([str(tmp_path / "a.jsonl")])) == ExitCode.DATA
    out, err = capsys.readouterr()
    assert "not JSON" in out and "yofo data check" in err


def test_control_characters_of_the_data_never_reach_the_terminal(
    tmp_path: Path, capsys: Output
) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\u202ereversed\r\x9b"
    row = json.dumps({"input": evil, "output": evil, evil: 1})
    (tmp_path / "a.jsonl").write_text(row + "\n" + json.dumps({evil: 2}) + "\n")
    data.preview(DataRequest([str(tmp_path / "a.jsonl")]))
    data.check(DataRequest([str(tmp_path / "a.jsonl"), str(tmp_path / f"{evil}.csv")]))
    out, err = capsys.readouterr()
    assert not set(out + err) & set("\x1b\x07\u202e\r\x9b")
    assert "\\x1b" in out and "\\u202e" in out


@given(st.text())
def test_printable_text_is_printable_and_loses_nothing(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    shown.encode()
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert len(shorten(text, 20)) <= 20


def test_newlines_and_tabs_are_kept_on_demand() -> None:
    assert printable("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"
    assert printable("a\n\tb") == "a\\n\\tb"


def test_heavy_libraries_are_loaded_only_when_needed() -> None:
    code = (
        "import sys, yofo_mlx.commands.data, yofo_mlx.tasks.registry\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"mlx", "pyarrow", "huggingface_hub", "numpy", "rich", "textual"}
