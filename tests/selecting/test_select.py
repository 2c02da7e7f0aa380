"""`yofo select`: what is kept, its scores, resuming, and that all of the rows are all of them."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.export.adapters import random_adapter
from tests.making import Call, refused, write_recipe
from yofo_mlx.errors import RunError
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.models.base import load_base
from yofo_mlx.recipe.schema import Template
from yofo_mlx.rehearsal.store import Store
from yofo_mlx.runs import launch
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.selecting import select as selection
from yofo_mlx.selecting.davir import Davir
from yofo_mlx.selecting.delift import Delift, facility_location, utility
from yofo_mlx.selecting.reader import Reader
from yofo_mlx.system import progress
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.tasks.task import Example, Task

PLAIN = Template(style="plain", input="{input} ->", output=" {output}\n")
TABLES = """
[[tasks]]
source = "synthetic:classify-0"
limit = 12
weight = 2.0
[[tasks]]
source = "many.jsonl"
family = "qa"
[[tasks]]
source = "several.jsonl"
family = "multilabel"
separator = " + "
instruction = "Name them."
[[tasks]]
source = "tiny:new-topic-01"
role = "held_out"
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows: dict[str, list[Any]] = {
        "many": [{"input": f"who {n} ?", "output": [f"Anna {n}", "Anna"]} for n in range(6)],
        "several": [
            {"input": f"dog {n}", "output": ["Tom", "Kate"][: n % 2 + 1]} for n in range(8)
        ],
    }
    for name, lines in rows.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text)
    return write_recipe(tmp_path, TABLES)


def read(path: Path) -> list[Any]:
    return load_tasks(load_recipe(path).tasks, 0, path.parent)


def test_all_of_the_rows_are_the_tasks_as_they_were(yofo: Call, recipe: Path) -> None:
    code, out, err = yofo("select", recipe, "--by", "random", "--share", 1)
    assert code == 0 and Path(out.splitlines()[-1]) == Path("mine-random/recipe.toml"), err
    assert "next: yofo train mine-random/recipe.toml" in err
    before, after = read(recipe), read(Path("mine-random/recipe.toml"))
    assert [one.task for one in after[:3]] == [replace(one.task, kind="") for one in before[:3]]
    assert [one.fingerprint for one in after] == [one.fingerprint for one in before]
    for key in ("metric", "weight", "separator", "role"):
        assert [getattr(one, key) for one in after] == [getattr(one, key) for one in before]


def test_the_rows_that_help_are_kept_and_nothing_is_read_twice(
    yofo: Call, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("select", recipe, "--set", "tasks.0.limit=6", "--probes", 3)
    read_it, calls = Reader.read, list[int]()

    def interrupted(self: Reader, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return read_it(self, *given)

    monkeypatch.setattr(Reader, "read", interrupted)
    code, _, err = yofo(*asked, "--rows", 4)
    assert code == 130 and "what was scored is kept in mine-delift" in err
    code, _, _ = yofo(*asked, "--rows", 4)
    assert code == 0
    # Of each task its probes once more than rows, and of the interrupted one the probes again.
    task_rows = [len(one.task.train) for one in read(Path("mine-delift/recipe.toml"))[:3]]
    assert task_rows[0] == 4
    about = json.loads(Path("mine-delift/selection.json").read_text())
    scores = about["by_task"]["classify-000"]["scores"]
    kept = [
        json.loads(line) for line in next(Path("mine-delift/data").glob("000*/train.jsonl")).open()
    ]
    assert len(kept) == 4 and {row["rank"] for row in kept} == {1, 2, 3, 4}
    assert max(kept, key=lambda row: row["score"])["rank"] == 1
    assert max(scores) == pytest.approx(max(row["score"] for row in kept))
    monkeypatch.setattr(Reader, "read", lambda *_: pytest.fail("was read before"))
    code, out, _ = yofo(*asked, "--share", 1, "--json")  # more rows by the same scores
    assert code == 0 and json.loads(out)["by_task"]["classify-000"]["kept"] == len(scores)


def entry_of(tmp_path: Path, rows: tuple[Example, ...]) -> TaskEntry:
    [entry] = read(write_recipe(tmp_path, '[[tasks]]\nsource = "synthetic:map-0"\n'))
    return replace(entry, task=Task("t", "other", rows))


class Told:
    """Keeps what is told of progress."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int, int]] = []

    def tell(self, what: str, done: int, total: int) -> None:
        self.said.append((what, done, total))

    def end(self) -> None:
        pass


def test_a_row_is_chosen_by_how_much_surer_it_makes_of_the_other_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [("dog cat ->", "Anna"), ("pig dog ->", "Anna"), ("x " * 99, "Tom"), ("hat", "Tom")]
    rows = tuple(Example(*pair) for pair in pairs)
    reader = Reader(load_base("tiny"), PLAIN, None, 64)
    monkeypatch.setattr(progress, "EVERY_S", -1.0)
    told, entry = Told(), entry_of(tmp_path, rows)
    with Store(tmp_path / "scores.jsonl") as store, progress.listening(told):
        ranked = Delift(reader, store, probes=4, seed=0).rank(entry)
    assert told.said == [("t: shown before 4 others", done, 4) for done in (1, 2, 3, 4)]
    segmenter = reader.segmenter("")
    alone = reader.read(segmenter, (), rows)
    matrix = np.zeros((4, 4))
    for shown, asked in product((0, 1, 3), repeat=2):
        before, after = alone[asked], reader.read(segmenter, [rows[shown]], rows)[asked]
        if shown != asked:  # it would copy its answer
            assert before is not None and after is not None
            matrix[shown, asked] = utility(before, after)
    order, gains = facility_location(matrix)
    assert matrix.max() > 0.01 and matrix.min() < -0.01
    assert ranked.scores[2] is None
    assert [ranked.scores[n] for n in (0, 1, 3)] == pytest.approx([gains[n] for n in (0, 1, 3)])
    assert ranked.order == [*(place for place in order if place != 2), 2]


def test_the_run_that_davir_compares_with_is_of_the_recipes_model_and_rows(
    yofo: Call, recipe: Path
) -> None:
    run = launch.create_run(load_recipe(recipe), "whole")
    random_adapter(run.adapter_path)
    entries = [one for one in read(recipe) if one.role == "train"]
    run.note(data={one.task.name: one.fingerprint for one in entries[1:]})
    found, other = selection.tuned_run(load_recipe(recipe), entries, "whole")
    assert found == run and other == [entries[0].task.name]
    other_model = load_recipe(recipe).model_copy(update={"model": "owner/other"})
    with pytest.raises(RunError, match="adapts tiny, and the recipe's model is owner/other"):
        selection.tuned_run(other_model, entries, "whole")


def test_the_score_of_a_row_is_the_share_of_its_loss_that_an_adapter_takes_away(
    tmp_path: Path,
) -> None:
    import mlx.core as mx
    from mlx_lm.tuner.utils import load_adapters

    adapter, base = random_adapter(tmp_path / "a"), load_base("tiny")
    rows = (Example("dog cat ->", "Anna"), Example("pig", "Tom Kate"), Example("x " * 99, "Tom"))
    reader, entry = Reader(base, PLAIN, None, 64), entry_of(tmp_path, rows)
    with Store(tmp_path / "scores.jsonl") as store:
        ranked = Davir(reader, store, adapter).rank(entry)

    def loss(model: Any, row: Example) -> float:
        segmenter = reader.segmenter("")
        question, answer = segmenter.question(row.input, first=True), segmenter.answer(row.output)
        tokens = [*segmenter.opening, *question, *answer]
        logits = model(mx.array([tokens[:-1]]))[0, -len(answer) :]
        return float(token_losses(logits, mx.array(answer)).mean())

    tuned = load_base("tiny").model
    load_adapters(tuned, str(adapter))
    expected = [1 - loss(tuned, row) / loss(base.model, row) for row in rows[:2]]
    assert ranked.scores[:2] == pytest.approx(expected, abs=1e-3)
    assert ranked.scores[2] is None and ranked.order[-1] == 2
    assert list(ranked.order[:2]) == sorted((0, 1), key=lambda n: -expected[n])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--by", "best"], "rows are not selected by 'best'"),
        (["--by", "davir"], "compares the base with a run"),
        (["--by", "davir", "--run", "nobody"], "nobody"),
        (["--by", "random", "--out", "mine.toml"], "mine.toml exists already, and is no selection"),
        (["--by", "random", "--out", "other"], "other is the selection of another way"),
    ],
)
def test_what_cannot_be_is_refused_in_two_lines(
    yofo: Call, recipe: Path, options: list[str], words: str
) -> None:
    entries = [one for one in read(recipe) if one.role == "train"]
    from yofo_mlx.selecting.settings import SelectSettings

    whole = load_recipe(recipe)
    selection.begin(Path("other"), whole, entries, SelectSettings("delift"), None)
    assert words in refused(yofo, "select", recipe, *options)[1]
