"""`yofo eval`: what is measured again and what is kept, partial evaluations, names of tasks."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yofo_mlx.commands import measuring as command
from yofo_mlx.commands.eval import _onward
from yofo_mlx.errors import RecipeError
from yofo_mlx.evaluation import archive, subjects
from yofo_mlx.evaluation.chosen import from_recipe
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import resolve

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
valid_tasks = 1
[[tasks]]
name = "trained"
source = "trained.jsonl"
[[tasks]]
source = "banking77.jsonl"
role = "held_out"
family = "classification"
[[tasks]]
name = "news_500"
source = "banking77.jsonl"
role = "held_out"
metric = "rouge"
[[tasks]]
name = "long"
source = "long.jsonl"
role = "held_out"
"""
TWO = ("--task", "banking77", "--task", "news_500")


@pytest.fixture
def run(yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    rows = [{"input": f"fork {n}", "output": "ab"[n % 2]} for n in range(12)]
    long = [{"input": "fork " * 90 + str(n), "output": "a"} for n in range(12)]
    for name, some in (("trained", rows), ("banking77", rows), ("long", long)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in some))
    (tmp_path / "mine.toml").write_text(RECIPE)
    code, _, err = yofo("train", "mine.toml")
    assert code == 0, err
    assert "held-out tasks: 1 of 3 cannot be measured (long: none of its" in err
    return listing.list_runs()[0]


def test_every_held_out_task_is_in_table_and_file_and_partial_ones_replace_nothing(
    yofo: Any, run: Run
) -> None:
    code, out, err = yofo("eval", "last")
    assert code == 0 and "0001-full.json" in err
    _, shown, _ = yofo("show", "mine.toml", "--json")
    long = next(row for row in json.loads(shown)["tasks"] if row["task"] == "long")
    assert long["left_out"] == long["train"] > 0
    words = [line.split() for line in out.splitlines() if line.strip()]
    lines = {line[0]: line for line in reversed(words)}  # the first one of each name
    assert lines["banking77"][2:5] == ["exact", "1", "1"]
    assert lines["news_500"][2] == "rouge"
    assert lines["long"][-3:] == ["-", "-", "-"]
    assert "1 of 3 cannot be measured (long: none of its" in out
    assert (run.evaluations_path / "0001-full.png").is_file()
    whole = archive.latest(run)
    assert whole["asked"]["seed"] == 0 and whole["asked"]["model"]["name"] == "tiny"
    assert whole["asked"]["evaluation"]["queries"] == 2 and whole["asked"]["adapter"]["step"] == 1

    assert yofo("eval", "last", "--task", "banking77")[0] == 0
    assert yofo("eval", "last", "--set", "evaluation.queries=1", "--task", "news_500")[0] == 0
    assert archive.latest(run) == whole
    names = sorted(path.name for path in run.evaluations_path.glob("*.json"))
    assert names == ["0001-full.json", "0002-banking77.json", "0003-news-500.json"]
    _, out, _ = yofo("runs", "--json")
    row = json.loads(out)[0]
    last = whole["metrics"][0]["by_shots"][-1]
    assert row["eval"].startswith(f"exact {100 * last['adapter']:.0f}% at {last['shots']}, rouge ")


def test_an_interrupted_evaluation_keeps_what_it_measured_and_goes_on(
    yofo: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    evaluate = command.evaluate_entry

    def interrupted(base: Any, recipe: Any, entry: Any, **options: Any) -> Any:
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(entry.task.name)
        return evaluate(base, recipe, entry, **options)

    monkeypatch.setattr(command, "evaluate_entry", interrupted)
    code, _, err = yofo("eval", "last", *TWO)
    assert code == 130 and "what was measured is kept" in err
    assert archive.latest(run) == {}

    def counted(base: Any, recipe: Any, entry: Any, **options: Any) -> Any:
        measured.append(entry.task.name)
        return evaluate(base, recipe, entry, **options)

    monkeypatch.setattr(command, "evaluate_entry", counted)
    code, out, err = yofo("eval", "last", "--json", *TWO)
    assert code == 0 and "adapter: 1 of 2 tasks are kept already" in err
    assert measured == ["banking77", "news_500", "banking77", "news_500"]
    found = json.loads(out)
    assert found["complete"] and len(list(run.evaluations_path.glob("*.json"))) == 1

    yofo("eval", "last", *TWO)
    again = json.loads((run.evaluations_path / "0002-2-tasks.json").read_text())
    assert (again["tasks"], again["metrics"]) == (found["tasks"], found["metrics"])


def test_the_names_that_are_shown_are_taken_by_task(run: Run) -> None:
    tables = [{"source": "tiny:train"}, {"source": "tiny:held_out", "role": "held_out"}]
    recipe = resolve({"model": "tiny", "train": {"steps": 1}, "tasks": tables}, "", None)

    def chosen(*names: str) -> list[str]:
        found = from_recipe(subjects.of_run(run), recipe, names)
        return [entry.task.name for entry in found.entries]

    assert len(chosen()) == 40
    assert chosen("new-topic") == [f"new-topic-{number:02}" for number in range(4)]
    assert chosen("new-spot-01", "new-last") == [
        "new-last-00",
        "new-spot-01",
        *(f"new-last-{number:02}" for number in (1, 2, 3)),
    ]
    with pytest.raises(RecipeError, match=r"no held-out task is called new$") as caught:
        chosen("new")
    assert "new-topic" in caught.value.hint


def test_only_the_data_of_the_tasks_that_are_named_are_read(yofo: Any, run: Run) -> None:
    for name in ("trained", "long"):
        Path(f"{name}.jsonl").unlink()
    code, out, err = yofo("eval", "last", *TWO, "--json")
    assert code == 0, err
    assert list(json.loads(out)["tasks"]) == ["banking77", "news_500"]
    code, _, err = yofo("eval", "last", "--task", "long")
    assert code == 3 and "no such file or folder" in err and "long.jsonl" in err
    assert yofo("eval", "last")[0] == 3
    code, _, err = yofo("eval", "last", "--task", "nowhere")
    assert code == 2 and "no held-out task is called nowhere" in err
    assert "banking77, long, news_500" in err
    Path("trained.jsonl").write_text(Path("banking77.jsonl").read_text())
    code, _, err = yofo("eval", "last", *TWO, "--task", "trained")
    assert code == 2 and "some were held out (banking77, news_500), others were not" in err
    code, _, err = yofo("eval", "last", *TWO, "--task", "nowhere")
    assert code == 2 and "no held-out task is called nowhere" in err


def test_a_file_of_a_pattern_is_read_alone(yofo: Any, run: Run) -> None:
    Path("many").mkdir()
    text = Path("banking77.jsonl").read_text()
    for name in "abc":
        Path(f"many/{name}.jsonl").write_text(text if name == "b" else "{broken\n")
    added = ["--set", "tasks.4.source=many/*.jsonl", "--set", "tasks.4.role=held_out"]
    code, out, err = yofo("eval", "last", *added, "--task", "b", "--json")
    assert code == 0, err
    assert list(json.loads(out)["tasks"]) == ["b"]


def test_a_training_task_that_is_named_is_asked_what_it_was_not_trained_on(
    yofo: Any, run: Run
) -> None:
    for name in ("banking77", "long"):
        Path(f"{name}.jsonl").unlink()
    code, out, err = yofo("eval", "last", "--task", "trained")
    assert code == 0, err
    assert "Exact match on tasks it was trained on" in out
    assert "demonstrations are rows that it was trained on, queries are not" in out
    assert "none was held out" not in err and archive.latest(run) == {}
    seeded = ("--set", "seed=5", "--json")  # another seed asks the same rows in another order
    _, first, _ = yofo("eval", "last", "--task", "trained", "--json")
    _, other, _ = yofo("eval", "last", "--task", "trained", *seeded)
    marks = [
        json.loads(text)["asked"]["tasks"]["trained"]["fingerprint"] for text in (first, other)
    ]
    assert marks[0] == marks[1]
    code, _, err = yofo("eval", "last", "--task", "trained", "--set", "tasks.0.limit=2")
    assert code == 2 and "as they were trained only" in err and "--data NEW.csv" in err


@pytest.mark.long
def test_a_run_without_a_held_out_task_is_measured_on_what_it_was_not_trained_on(
    yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"fork {n},{'ab'[n % 2]}\n" for n in range(20))
    Path("intents.csv").write_text("text,label\n" + rows)
    lines = 'model = "tiny"\n[train]\nsteps = 1\n[[tasks]]\nsource = "intents.csv"\n'
    Path("mine.toml").write_text(lines)
    small = ("--set", "lora.rank=2", "--set", "episodes.max_tokens=64")
    code, _, err = yofo("train", "mine.toml", *small)
    assert code == 0, err
    code, out, err = yofo("eval", "last")
    assert code == 0 and "Exact match on tasks it was trained on" in out
    name = listing.list_runs()[0].run_id
    assert "none was held out" in err and f"`yofo eval {name} --data NEW.csv`" in err

    assert "changed since" not in out
    Path("intents.csv").write_text("text,label\n" + rows.replace("fork 7,", "spoon,"))
    code, out, err = yofo("eval", "last")
    assert code == 0 and "the rows of intents changed since: it may know some" in out

    code, _, err = yofo("train", "mine.toml", *small, "--set", "tasks.0.valid_share=0.0")
    assert code == 0, err
    code, _, err = yofo("eval", "last")
    name = listing.list_runs()[0].run_id
    assert code == 2 and f"no task of {name} was held out" in err
    assert err.splitlines()[-1] == f"  `yofo eval {name} --data NEW.csv`"
    Path("NEW.csv").write_text("text,label\n" + rows)
    assert yofo("eval", name, "--data", "NEW.csv")[0] == 0  # what the hint says


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "chat last --demos a.json"),
        ({"records": "data", "input": "q"}, "chat last --demos a.json --input q --records data"),
        ({"groups": {"x": ("l",)}}, "chat last"),
        ({"where": {"l": "x"}}, "chat last"),
    ],
)
def test_what_comes_next_reads_the_demonstrations_as_they_were_read(
    keys: dict[str, Any], words: str
) -> None:
    subject: Any = SimpleNamespace(arguments="last")
    measured: Any = SimpleNamespace(role="held_out")
    source = TaskSource.model_validate({"source": "a.json", "role": "held_out", **keys})
    assert _onward(subject, measured, [source], {}) == words
