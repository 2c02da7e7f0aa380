"""`yofo eval` with rows and choices, and base results that evaluations share."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.test_eval import RECIPE
from yofo_mlx.commands import measuring
from yofo_mlx.evaluation.measure import evaluate_entry
from yofo_mlx.runs import listing

ONE = ("--task", "banking77")


@pytest.fixture
def trained(yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"input": f"fork {n}", "output": "ab"[n % 2]} for n in range(12)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for name in ("trained", "banking77", "long"):
        (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "mine.toml").write_text(RECIPE)
    assert yofo("train", "mine.toml")[0] == 0


@pytest.fixture
def asked_of_base(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return the tasks as they are measured, with how many results of each were known before."""
    found: list[tuple[str, int]] = []

    def noted(base: Any, recipe: Any, entry: Any, **options: Any) -> Any:
        found.append((entry.task.name, len(options["done"])))
        return evaluate_entry(base, recipe, entry, **options)

    monkeypatch.setattr(measuring, "evaluate_entry", noted)
    return found


@pytest.mark.long
@pytest.mark.usefixtures("trained")
def test_what_the_base_scored_is_taken_from_another_evaluation_of_the_same(
    yofo: Any, asked_of_base: list[tuple[str, int]]
) -> None:
    assert yofo("eval", "last", *ONE)[0] == 0
    first = listing.list_runs()[0].run_id
    assert asked_of_base == [("banking77", 0), ("banking77", 0)]
    asked_of_base.clear()

    assert yofo("train", "mine.toml", "--set", "lora.rank=4")[0] == 0
    other = next(run for run in listing.list_runs() if run.run_id != first).run_id
    both = (*ONE, "--task", "news_500", "--choice", "--rows", "out.csv")
    code, out, err = yofo("eval", other, *both, "--json")
    assert code == 0, err
    assert f"base: 1 of 2 tasks taken from {first}'s evaluation 1; --fresh" in err
    assert asked_of_base[:2] == [("banking77", 2), ("news_500", 0)]
    assert {known for _, known in asked_of_base[2:]} == {0}  # an adapter's are never shared
    content = json.loads(out)
    before = json.loads((listing.find(first).evaluations_path / "0001-banking77.json").read_text())
    facts, known = (one["measured"]["base"]["banking77"] for one in (content, before))
    assert [result[:2] for result in facts["results"]["0/1"]] == [
        result[:2] for result in known["results"]["0/1"]
    ]
    assert {result[2] for result in facts["results"]["0/1"]} <= {"a", "b"}

    assert {one["metric"] for one in content["metrics"]} == {"exact", "rouge", "choice"}
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["task"] for row in rows] == ["banking77", "news_500"]  # a query each
    assert {row["outcome"] for row in rows} <= {"fixed", "regressed", "kept", "still wrong"}
    assert sum(content["outcomes"]["banking77"].values()) == 1

    asked_of_base.clear()
    code, out, err = yofo("eval", other, *both)  # over its own file; all of the base is known
    assert code == 0 and f"base: taken from {other}'s evaluation 1; --fresh" in err
    assert "still wrong" in out and "expected -> answered" in out
    assert [known for _, known in asked_of_base] == [2, 2, 0, 0]
    asked_of_base.clear()
    code, _, err = yofo("eval", other, *ONE, "--fresh")
    assert code == 0 and "taken from" not in err and asked_of_base[0] == ("banking77", 0)


@pytest.mark.usefixtures("trained")
def test_rows_that_could_not_be_written_are_refused_before_anything_is_measured(
    yofo: Any, asked_of_base: list[tuple[str, int]]
) -> None:
    Path("folder.csv").mkdir()
    before = Path("banking77.jsonl").read_text()
    for name, words in (
        ("rows.txt", "rows are .csv or .jsonl"),
        ("folder.csv", "rows are .csv or .jsonl"),
        ("banking77.jsonl", "exists, and holds something else"),
        ("nowhere/rows.csv", "is not a folder to write to"),
    ):
        code, _, err = yofo("eval", "last", *ONE, "--rows", name)
        assert code == 2 and words in err and len(err.splitlines()) == 2, err
    code, _, err = yofo("eval", "last", "--list", "--rows", "rows.csv")
    assert code == 2 and "--list measures nothing: --rows" in err
    assert Path("banking77.jsonl").read_text() == before and not asked_of_base
