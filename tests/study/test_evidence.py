"""The committed study, its recipe and the adapter that was kept of it belong together."""

import json
import re
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from tests.places import ROOT
from yofo_mlx.models.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.study.results import Result, StudyFolder, in_full, read_result
from yofo_mlx.system.files import digest

EVIDENCE = ROOT / "docs" / "evidence"
STUDY, ADAPTER = StudyFolder(EVIDENCE / "smollm2"), EVIDENCE / "adapter"
pytestmark = pytest.mark.skipif(not ADAPTER.is_dir(), reason="no adapter of a study is kept")
MODEL, DATA = ROOT / "out" / "smollm2", ROOT / "out" / "data"


def kept() -> tuple[dict[str, str], Result]:
    record = json.loads((ADAPTER / "record.json").read_text("utf-8"))
    result = read_result(STUDY.path / "results" / record["result"])
    assert result
    return record, result


def recipe() -> Any:
    return load_recipe(find_recipe(str(EVIDENCE / "smollm2.toml")))


def test_the_adapter_is_that_of_the_result_that_its_record_names() -> None:
    record, result = kept()
    assert digest(ADAPTER / WEIGHTS_FILE) == record["sha256"]
    assert result.adapter == record["measured_sha256"]
    assert (ADAPTER / WEIGHTS_FILE).stat().st_size <= 2_000_000


def test_the_study_and_the_adapter_are_of_the_recipe_that_stands_there() -> None:
    said, made = recipe().model_dump(mode="json"), in_full(STUDY.identity()["of"])
    for table in ("lora", "template", "objective"):
        assert made[table] == said[table]
    lora = json.loads((ADAPTER / CONFIG_FILE).read_text("utf-8"))["lora_parameters"]
    assert lora["keys"] == said["lora"]["keys"] and lora["rank"] == said["lora"]["rank"]


ROWS = {
    "base": "base-s?",
    "zero-shot tuning": "zero-shot-s?-lr0.001",
    "few-shot (2), last answer": "few-last-s?-lr0.001",
    "few-shot (2), all answers": "few-all-s?-lr0.001",
    "FTICL: a fixed prefix of demonstrations": "fticl-s?-lr0.001",
    "many-shot, last answer": "many-last-s?-lr0.001",
    "many-shot, all answers": "many-all-s?-lr0.001",
    "many-shot, all answers, labels renamed in half of the episodes": "many-all-renamed-s?-lr0.003",
    "many-shot, all answers, the value projections alone": "many-all-values-s?-lr0.001",
    "S3FT: zero-shot, own answers where they are right": "s3ft-s?-lr0.001",
    "many-shot, all answers, on the same rows as S3FT": "many-all-s3ft-s?-lr0.001",
    "an adapter of each task's own, from 64 of its rows": "dedicated-64-*-s?-lr0.001",
    "an adapter of each task's own, from all of its rows": "dedicated-all-*-s?-lr0.001",
}
SHOTS, MEAN = (0, 4, 16, 32, 64), ("unseen-banking", "unseen-travel", "unseen-talk", "bank-20")


def measured(files: str) -> tuple[list[float], int]:
    """Return percent right by shots, the mean over tasks and seeds, and the number of seeds."""
    paths = sorted(STUDY.path.glob(f"results/{files}.json"))
    results = [found for found in map(read_result, paths) if found]
    seeds = {result.seed for result in results}
    of = {(result.seed, task): by for result in results for task, by in result.cells.items()}
    rights = [
        [mean(score for score, _ in of[seed, task][at].values()) for seed in seeds for task in MEAN]
        for at in SHOTS
    ]
    return [100 * mean(some) for some in rights], len(seeds)


@pytest.mark.parametrize(("page", "digits"), [("docs/evidence.md", 1), ("README.md", 0)])
def test_what_the_pages_say_is_what_was_measured(page: str, digits: int) -> None:
    rows = re.findall(r"^\| ([a-zA-Z].*?) \| (.*) \|$", (ROOT / page).read_text("utf-8"), re.M)
    said = {name: row.replace("*", "").split(" | ") for name, row in rows if name in ROWS}
    if digits == 1:
        assert said.keys() == ROWS.keys()
    for name, row in said.items():
        values, seeds = measured(ROWS[name])
        assert row == [*(f"{value:.{digits}f}" for value in values), str(seeds)], name


def test_nothing_that_was_kept_names_a_folder_of_a_machine() -> None:
    files = [*STUDY.path.rglob("*.json"), *ADAPTER.glob("*.json")]
    assert not [path for path in files if "runs" not in path.parts and _has_path(path)]


def _has_path(path: Path) -> bool:
    words = path.read_text("utf-8")
    return any(f'"{root}' in words for root in ("/home", "/root", "/work", "/Users", "/tmp"))


@pytest.mark.skipif(not (MODEL.is_dir() and DATA.is_dir()), reason="make real-model brings both")
def test_a_cell_measured_again_is_the_cell_that_stands_there() -> None:
    from yofo_mlx.models.adapters import load_adapter
    from yofo_mlx.models.base import load_base
    from yofo_mlx.study.measuring import measure_task
    from yofo_mlx.tasks.registry import load_tasks

    _, result = kept()
    name, shots, queries = "unseen-banking", 32, 16
    settings = recipe()
    asked = settings.evaluation.model_copy(update={"shots": (shots,), "queries": queries})
    settings = settings.model_copy(update={"evaluation": asked})
    entries = load_tasks([one for one in settings.tasks if one.name == "unseen"], 0, ROOT)
    (entry,) = (one for one in entries if one.task.name == name)
    base = load_base(str(MODEL))
    load_adapter(base.model, ADAPTER)
    again = Result(arm=result.arm, seed=result.seed)
    measure_task(base, settings, entry, result.seed, again, lambda: None)
    before, now = result.cells[name][shots], again.cells[name][shots]
    assert len(now) == queries and now.keys() <= before.keys()
    # Weights in half precision: a close call may fall the other way, a loss moves a little.
    same = sum(now[query][0] == before[query][0] for query in now)
    assert same >= queries - 1
    assert all(now[query][1] == pytest.approx(before[query][1], abs=0.05) for query in now)
