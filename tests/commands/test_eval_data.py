"""`yofo eval --data`: any rows, a run or an adapter from elsewhere; nothing is a dead end."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import HubServer, hub_fixture  # noqa: F401
from yofo_mlx.commands import measuring as command
from yofo_mlx.errors import RunError
from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation import measure as evaluate
from yofo_mlx.runs import listing, trash
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import RecipeRequest

RECIPE = """
model = "tiny"
[episodes]
max_tokens = 64
[lora]
rank = 2
[train]
steps = 1
[evaluation]
shots = [0, 1]
queries = 2
[[tasks]]
source = "intents.csv"
"""


def write(path: str, count: int, start: int = 0, head: str = "text,label") -> None:
    rows = "".join(f"fork {n},{'ab'[n % 2]}\n" for n in range(start, start + count))
    Path(path).write_text(f"{head}\n{rows}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home folder with one trained run, of which every test gets a copy."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("YOFO_HOME", str(folder / "home"))
        from yofo_mlx.commands.train import start

        write("intents.csv", 20)
        Path("mine.toml").write_text(RECIPE)
        assert start(RecipeRequest(["mine.toml"])) == 0
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path, yofo_home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    shutil.copytree(made / "home", yofo_home, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return listing.list_runs()[0]


def evaluated(yofo: Any, *arguments: str) -> tuple[dict[str, Any], str]:
    code, out, err = yofo("eval", *arguments, "--json")
    assert code == 0, err
    return json.loads(out), err


def test_rows_of_a_file_are_divided_and_that_is_told_and_kept(yofo: Any, run: Run) -> None:
    write("new.csv", 12, 100)
    found, err = evaluated(yofo, "last", "--data", "new.csv")
    told = "new: rows to show 10, to ask 2; queries were drawn from its 12 rows (seed 0)"
    assert told in err and "family classification (guessed), metric exact" in err
    assert "no input of it was trained on" in err
    assert found["data"]["new"] == {
        "source": "new.csv",
        "demonstrations": 10,
        "queries": 2,
        "division": "queries were drawn from its 12 rows (seed 0)",
        "overlap": [],
    }
    assert found["asked"]["role"] == "data" and not found["full"] and found["complete"]
    assert [row["shots"] for row in found["tasks"]["new"]] == [0, 1]
    path = run.evaluations_path / "0001-new.json"
    assert json.loads(path.read_text()) == found and path.with_suffix(".png").is_file()
    _, out, _ = yofo("eval", "last", "--data", "new.csv")
    assert "Exact match on the data given, in percent" in out


def test_the_shapes_that_data_come_in_are_read(yofo: Any, run: Run) -> None:
    Path("folder").mkdir()
    write("folder/train.csv", 8, 100)
    write("folder/test.csv", 4, 200)
    Path("asked").mkdir()
    write("asked/test.csv", 8, 300)
    write("b.csv", 6, 400)
    Path("c.csv.gz").write_bytes(gzip.compress(Path("b.csv").read_bytes()))
    places = ("folder", "asked", "[bc].csv*", "c.csv.gz", "folder/*.csv")
    found, _ = evaluated(
        yofo, "last", *(word for place in places[:2] for word in ("--data", place))
    )
    folder, asked = found["data"].values()
    assert (folder["demonstrations"], folder["queries"]) == (8, 4)
    assert (asked["demonstrations"], asked["queries"]) == (6, 2)
    found, _ = evaluated(yofo, "last", "--data", "*.csv*")
    assert list(found["data"]) == ["b", "c"]
    found, _ = evaluated(
        yofo, "last", "--data", "folder/train.csv", "--data", "folder/test.csv", "--data", "b.csv"
    )
    assert list(found["data"]) == ["folder", "b"]
    found, _ = evaluated(yofo, "last", "--data", "tiny:held_out", "--task", "new-topic-01")
    assert list(found["data"]) == ["new-topic-01"]


def test_a_data_set_of_the_hub_is_read_and_recognised(yofo: Any, run: Run, hub: HubServer) -> None:
    rows = [json.dumps({"input": f"fork {n}", "output": "ab"[n % 2]}) for n in range(10)]
    hub.add(
        "dataset",
        "owner/forks",
        {"train.jsonl": "\n".join(rows[:6]).encode(), "test.jsonl": "\n".join(rows[6:]).encode()},
    )
    found, _ = evaluated(yofo, "last", "--data", "owner/forks")
    assert (found["data"]["forks"]["demonstrations"], found["data"]["forks"]["queries"]) == (6, 4)
    info = run.info().recipe or {}
    run.note(recipe=info | {"tasks": [{"source": "owner/forks"}]})
    found, _ = evaluated(yofo, "last", "--data", "owner/forks")
    assert found["data"]["forks"]["overlap"][0]["is_same"]


def test_files_of_one_name_are_told_apart_by_what_was_typed(yofo: Any, run: Run) -> None:
    for folder in "xy":
        Path(folder).mkdir()
        write(f"{folder}/a.csv", 6, ord(folder) * 10)
    twice = ("--data", "x/a.csv", "--data", "x/a.csv", "--data", "./y/../x/a.csv")
    found, _ = evaluated(yofo, "last", *twice, "--data", "y/a.csv")
    assert list(found["data"]) == ["x/a.csv", "y/a.csv"]


def test_data_take_the_options_and_keys_that_data_check_takes(yofo: Any, run: Run) -> None:
    write("odd.csv", 12, 100, head="question,reply")
    options = ("--input", "question", "--output", "reply", "--family", "qa", "--metric", "exact")
    keys = ("--set", "where.reply=a", "--set", "valid_share=0.5", "--set", "evaluation.queries=1")
    found, err = evaluated(yofo, "last", "--data", "odd.csv", *options, *keys)
    assert found["data"]["odd"]["demonstrations"] == 3 == found["data"]["odd"]["queries"]
    assert "6 of 12 rows fit `where`" in err and "family qa, metric exact" in err
    assert found["asked"]["evaluation"]["queries"] == 1
    code, _, err = yofo("eval", "last", "--input", "question")
    assert code == 2 and "--input is about data, and none is given" in err
    code, _, err = yofo("eval", "last", "--data", "odd.csv", "--family", "qaa")
    assert code == 2 and "odd.csv" in err and "family" in err
    code, _, err = yofo("eval", "last", "--data", "odd.csv", "--input", "nothing here")
    assert code == 3
    assert err.splitlines()[-1].endswith("yofo data check odd.csv --input 'nothing here'")


def test_what_was_trained_on_is_told_by_task_with_counts(yofo: Any, run: Run, made: Path) -> None:
    write("mixed.csv", 30, 10)  # ten of them are in the training file
    found, err = evaluated(yofo, "last", "--data", "mixed.csv")
    (overlap,) = found["data"]["mixed"]["overlap"]
    assert overlap["trained"] == "intents" and not overlap["is_same"]
    assert 8 <= overlap["queries"] + overlap["demonstrations"] <= 10  # two were set aside
    assert "mixed: training task intents has the inputs of" in err
    assert found["notes"][0] in err

    found, err = evaluated(yofo, "last", "--data", str(made / "intents.csv"))
    assert found["data"]["intents"]["overlap"][0]["is_same"]
    ask = f"`yofo eval {run.run_id} --task intents` asks what is new to it"
    assert f"intents is the data of training task intents: {ask}" in err


def test_training_data_that_are_gone_are_told_and_keep_nothing_from_being_measured(
    yofo: Any, run: Run, made: Path
) -> None:
    write("new.csv", 6, 100)
    (made / "intents.csv").rename(made / "elsewhere.csv")
    try:
        _, err = evaluated(yofo, "last", "--data", "new.csv")
    finally:
        (made / "elsewhere.csv").rename(made / "intents.csv")
    assert "what training tasks intents hold is not known any more" in err
    assert "no input of it was trained on" not in err


@pytest.mark.parametrize(
    ("name", "text", "code", "words"),
    [
        ("one.csv", "text,label\nfork,a\n", 3, "one: 1 row only: none is left to ask"),
        ("none.csv", "text,label\n", 3, "no examples"),
        ("column.csv", "text\nfork\nspoon\n", 3, "rows hold only `text`"),
        ("long.csv", "text,label\n" + f"{'fork ' * 90},a\n{'spoon ' * 90},b\n", 2, "evaluation"),
        (None, "", 3, "no such file or folder: nowhere.csv"),
    ],
)
def test_what_cannot_be_measured_is_two_lines(
    yofo: Any, run: Run, name: str | None, text: str, code: int, words: str
) -> None:
    if name:
        Path(name).write_text(text)
    found, out, err = yofo("eval", "last", "--data", name or "nowhere.csv")
    error = err[err.index("error: ") :].splitlines()
    assert (found, out, len(error)) == (code, "", 2) and words in " ".join(error)
    assert not run.evaluations_path.exists()


def test_a_mistake_is_told_without_mlx(run: Run, yofo_home: Path) -> None:
    script = (
        "import sys; from yofo_mlx import cli\n"
        "for words in (['nowhere'], ['last', '--data', 'nowhere.csv'], ['last', '--list'],\n"
        "              ['--adapter', 'nowhere', '--data', 'x.csv']):\n"
        "    sys.argv = ['yofo', 'eval', *words]\n"
        "    try: cli.main()\n"
        "    except SystemExit: pass\n"
        "assert 'mlx.core' not in sys.modules, 'MLX was imported'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_interrupted_one_goes_on_unless_its_rows_changed(
    yofo: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("new.csv", 8, 100)
    measure, measured = command.evaluate_entry, []

    def interrupted(base: Any, recipe: Any, entry: Any, **options: Any) -> Any:
        if measured:
            raise KeyboardInterrupt
        measured.append(entry.task.name)
        return measure(base, recipe, entry, **options)

    monkeypatch.setattr(command, "evaluate_entry", interrupted)
    code, _, err = yofo("eval", "last", "--data", "new.csv")
    assert code == 130 and "what was measured is kept" in err and "next: yofo eval " in err
    code, out, _ = yofo("eval", "last", "--list")
    assert code == 0 and "interrupted, 0 of 1 tasks" in out
    code, _, err = yofo("eval", "last", "--data", "new.csv")  # again, at its first task
    assert code == 130 and "base: 1 of 1 tasks are kept already" in err
    assert "going on with 0001-new.json" in err
    write("new.csv", 9, 100)
    monkeypatch.setattr(command, "evaluate_entry", measure)
    found, err = evaluated(yofo, "last", "--data", "new.csv")
    assert "0001-new.json was cut off, but the rows of new changed since" in err
    assert found["complete"] and "kept already" not in err
    write("new.csv", 8, 100)
    _, err = evaluated(yofo, "last", "--data", "new.csv")
    assert "base: 1 of 1 tasks are kept already" in err
    assert sorted(p.name for p in run.evaluations_path.glob("*.json")) == [
        "0001-new.json",
        "0002-new.json",
    ]


def test_fewer_queries_than_were_to_be_asked_are_listed_as_they_were(yofo: Any, run: Run) -> None:
    write("new.csv", 2, 100)
    evaluated(yofo, "last", "--data", "new.csv")
    assert [one.queries for one in archive.listed(run)] == [1]


@pytest.mark.parametrize("damage", [{"tasks": None}, {"tasks": {"new": [{}]}}])
def test_a_damaged_evaluation_is_not_compared(yofo: Any, run: Run, damage: dict[str, Any]) -> None:
    write("new.csv", 4, 100)
    found, _ = evaluated(yofo, "last", "--data", "new.csv")
    (run.evaluations_path / "0002-new.json").write_text(json.dumps(found | damage))
    for pair in (("1", "2"), ("2", "1")):
        code, _, err = yofo("eval", "last", "--compare", *pair)
        assert code == 2 and "damaged" in err


@pytest.mark.long
def test_a_run_that_is_being_evaluated_stays_where_it_is(
    yofo: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = evaluate.evaluate_entry

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        with pytest.raises(RunError, match="is being evaluated"):
            trash.remove(run)
        with pytest.raises(RunError, match="is being evaluated"):
            trash.rename(run, "other")
        return measure(*arguments, **options)

    monkeypatch.setattr(command, "evaluate_entry", meanwhile)
    write("new.csv", 8, 100)
    evaluated(yofo, "last", "--data", "new.csv")
    assert [one.number for one in archive.listed(run)] == [1]
    trash.remove(run)


def test_one_that_is_cut_off_inside_a_task_goes_on_inside_it(
    yofo: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("new.csv", 8, 100)
    words = ("last", "--data", "new.csv", "--set", "evaluation.draws=2")
    ask, asked = evaluate.compare, []

    def counted(*arguments: Any, **options: Any) -> Any:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(arguments)
        return ask(*arguments, **options)

    monkeypatch.setattr(evaluate, "compare", counted)
    code, _, err = yofo("eval", *words)
    assert code == 130 and "what was measured is kept" in err
    path = run.evaluations_path / "0001-new.json"
    assert list(json.loads(path.read_text())["part"]["done"]) == ["0/0", "0/1", "1/0"]
    asked.clear()
    assert yofo("eval", *words)[0] == 130
    assert len(asked) == 3 and list(json.loads(path.read_text())["measured"]["base"]) == ["new"]
    monkeypatch.setattr(evaluate, "compare", ask)
    found, _ = evaluated(yofo, *words)
    assert found["complete"] and "part" not in found and len(list(path.parent.glob("*.json"))) == 1
    whole, _ = evaluated(yofo, *words)
    assert (whole["tasks"], whole["measured"]) == (found["tasks"], found["measured"])


def test_an_adapter_from_elsewhere_and_a_model_alone_are_measured(
    yofo: Any, run: Run, tmp_path: Path, yofo_home: Path
) -> None:
    write("new.csv", 6, 100)
    shutil.copytree(run.adapter_path, tmp_path / "my adapter")
    (tmp_path / "my adapter" / "yofo_template.json").unlink()  # mlx-lm writes none
    few = ("--data", "new.csv", "--set", "evaluation.shots=[0, 1]")
    found, err = evaluated(yofo, "--adapter", "my adapter", *few)  # its model is in its settings
    assert "my adapter was trained on any of this data is not known" in err
    assert found["asked"]["adapter"]["step"] is None and found["asked"]["model"]["name"] == "tiny"
    (folder,) = (yofo_home / "evaluations").iterdir()
    assert folder.name.startswith("my-adapter-") and (folder / "0001-new.json").is_file()
    code, out, err = yofo("eval", "--adapter", "my adapter", "--list")
    assert code == 0 and "data: new" in out
    assert evaluated(yofo, "--adapter", "my adapter", "--model", "tiny", *few)[0] == json.loads(
        (folder / "0002-new.json").read_text()
    )
    code, out, err = yofo("eval", "--model", "tiny", *few)
    assert code == 0 and "base" in out and "adapter" not in out, err
    code, _, err = yofo("eval", "--adapter", "my adapter")
    assert code == 2
    assert (
        err.splitlines()[-1] == "  `yofo eval --adapter 'my adapter' --model tiny --data NEW.csv`"
    )


def test_an_adapter_from_elsewhere_is_prompted(yofo: Any, run: Run, tmp_path: Path) -> None:
    write("new.csv", 6, 100)
    shutil.copytree(run.adapter_path, tmp_path / "mine")
    asked = ("--demos", "new.csv", "--shots", "2", "--query", "fork 7")
    _, expected, _ = yofo("chat", "last", *asked)
    code, out, err = yofo("chat", "--adapter", "mine", "--model", "tiny", *asked)
    assert (code, out) == (0, expected) and f"with the adapter {tmp_path / 'mine'}" in err
    code, _, err = yofo("chat", "last", "--adapter", "mine", *asked)
    assert code == 2 and "a run or --adapter, not both" in err
    code, _, err = yofo("chat", "--adapter", "nowhere", *asked)
    assert code == 2 and "there is no adapter in" in err and "loading" not in err


@pytest.mark.parametrize(
    ("files", "expected", "words", "hint"),
    [
        (("adapter_config.json", "adapter_model.safetensors"), 1, "the PEFT adapter in", "LoRA"),
        (("adapter_config.json", "adapter_model.bin"), 1, "a pickle can run", "safetensors"),
        ((), 2, "there is no adapter in", "adapters.safetensors"),
    ],
)
def test_what_is_no_adapter_is_refused(
    yofo: Any, tmp_path: Path, files: tuple[str, ...], expected: int, words: str, hint: str
) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    code, _, err = yofo("eval", "--adapter", tmp_path, "--model", "tiny", "--data", "x.csv")
    assert code == expected and words in err and hint in err.splitlines()[-1]
    assert len(err.splitlines()) == 2


def test_a_home_that_cannot_be_written_is_told_before_anything_is_read(
    yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("YOFO_HOME", str(tmp_path / "file"))
    code, _, err = yofo("eval", "--model", "tiny", "--data", "nowhere.csv")
    assert code == 2 and "file is not a folder to write to" in err


def test_an_adapter_that_does_not_say_its_model_is_asked_for_it(yofo: Any, tmp_path: Path) -> None:
    for name in ("adapter_config.json", "adapters.safetensors"):
        (tmp_path / name).write_text("{}")
    code, _, err = yofo("eval", "--adapter", tmp_path, "--data", "x.csv")
    assert code == 2 and "does not say which model" in err and "--model MODEL" in err
    code, _, err = yofo("eval", "last", "--adapter", tmp_path)
    assert code == 2 and "give a run or --adapter, not both" in err
