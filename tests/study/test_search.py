"""What a study searches: which values are tried, who judges them, what is done with the best."""

import json
from math import log10
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from tests.study.made import PretendingCrew, plan
from yofo_mlx.evaluation.ranking import prequential
from yofo_mlx.recipe.study import RATE, Study
from yofo_mlx.runs.folder import Run
from yofo_mlx.study.arms import ARMS
from yofo_mlx.study.making import Making
from yofo_mlx.study.page import write_report
from yofo_mlx.study.plan import StudyPlan
from yofo_mlx.study.results import Result, StudyFolder
from yofo_mlx.study.search import best, points

SEARCH = {"optimizer.learning_rate": [1e-4, 1e-3, 1e-2], "lora.scale": [2.0, 8.0]}
BEST = (("lora.scale", 8.0), (RATE, 1e-3))


class Bowl(PretendingCrew):
    """An oracle: what an adapter is worth falls with the distance of its values from `BEST`."""

    def score(self, job: dict[str, Any]) -> float:
        if job["adapter"] is None:
            return 0.0
        recipe = Run(Path(job["adapter"]).parent).info().recipe or {}
        away = abs(log10(recipe["optimizer"]["learning_rate"]) + 3)
        return 1 - 0.2 * away - 0.1 * (recipe["lora"]["scale"] != 8.0)


def made(folder: Path, of: StudyPlan) -> tuple[Bowl, Path]:
    study, crew = StudyFolder(folder), Bowl()
    of.check()
    study.begin(of.identity("print"), of.shown)
    Making(of, study, crew).run(1, lambda making: None)
    return crew, write_report(study)


@pytest.mark.parametrize("judge", ["judge", "trained"])
def test_the_best_values_are_found_by_held_out_tasks_or_by_the_prequential_loss(
    tmp_path: Path, judge: str
) -> None:
    choose_on = [judge] if judge == "judge" else []
    of = plan("base", "many-all", "few-all", search=SEARCH, choose_on=choose_on)
    crew, page = made(tmp_path, of)
    tried, rest = crew.jobs[1:7], crew.jobs[7:]
    assert {tuple(job["tasks"]) for job in tried} == {(judge,)}
    assert of.values_of(ARMS["many-all"], StudyFolder(tmp_path).results()) == BEST
    assert [Path(job["path"]).stem for job in rest if "base" not in job["path"]] == [
        "many-all-s0-lora.scale-8.0-lr0.001",
        "few-all-s0-lora.scale-8.0-lr0.001",
        "many-all-s1-lora.scale-8.0-lr0.001",
    ]
    assert not [job for job in rest if judge in job["tasks"]]
    text = page.with_name("report.md").read_text()
    line = next(one for one in text.splitlines() if one.endswith("| chosen |"))
    assert line.startswith("| `many-all` | 8.0 | 0.001 | 100.0 | 0.500 |")
    assert ("prequential" in text) == (judge == "trained")
    assert "`lora.scale=8.0`" in text


def test_a_search_goes_on_where_it_was_and_what_was_tried_is_not_trained_again(
    tmp_path: Path,
) -> None:
    few = {"lora.scale": [2.0, 8.0]}
    made(tmp_path, plan("many-all", search=few, seeds=1))
    crew, _ = made(tmp_path, plan("many-all", search=few, seeds=1))
    assert not crew.trained and not crew.jobs
    crew, _ = made(tmp_path, plan("many-all", search={"lora.scale": [2.0, 8.0, 4.0]}, seeds=1))
    assert crew.measured == ["many-all-s0-lora.scale-4.0"]


def test_an_arm_tries_nothing_that_it_says_itself() -> None:
    search = {"episodes.max_shots": (8, 64), "objective.zero_shot": (0.0, 0.4)}
    settings = Study(search=search, learning_rates=(1e-3,), choose_on=("judge",))
    assert len(points(settings, ARMS["many-all"])) == 4
    assert points(settings, ARMS["zero-shot"]) == [
        (("objective.zero_shot", value), (RATE, 1e-3)) for value in (0.0, 0.4)
    ]
    assert points(Study(), ARMS["many-all"]) == [()]
    some = points(Study(search=search, sample=2), ARMS["many-all"])
    assert len(some) == 2 and some == points(Study(search=search, sample=2), ARMS["many-all"])


def test_keys_are_written_as_in_any_other_table() -> None:
    nested = {"lora": {"scale": (2.0,)}, "tasks": {"0": {"weight": (1.0, 2.0)}}}
    found = Study.model_validate({"search": nested}).search
    assert found == {"lora.scale": (2.0,), "tasks.0.weight": (1.0, 2.0)}


@given(
    st.lists(
        st.lists(st.floats(0, 9), min_size=3, max_size=3), min_size=2, max_size=4, unique_by=tuple
    )
)
@draws(30)
def test_the_least_prequential_loss_wins_as_a_naive_sum_says(curves: list[list[float]]) -> None:
    shots = (0, 1, 4)
    found = [
        Result(
            arm="many-all",
            seed=0,
            learning_rate=10.0**-place,
            cells={"a": {n: {"q": (0.0, loss)} for n, loss in zip(shots, curve, strict=True)}},
        )
        for place, curve in enumerate(curves)
    ]
    summed = [prequential(list(zip(shots, curve, strict=True))) or 0.0 for curve in curves]
    chosen = best(found, ["a"], by_loss=True)
    assert chosen and summed[-round(log10(float(chosen[0][1])))] == min(summed)


def test_shares_of_the_rows_are_trained_and_shown_beside_all_of_them(tmp_path: Path) -> None:
    crew, page = made(tmp_path, plan("base", "many-all", rows=[0.5, 0.125], seeds=1))
    assert crew.measured == [
        "base-s0",
        "many-all-s0",
        "many-all-s0-rows0.5",
        "many-all-s0-rows0.125",
    ]
    told = Run(tmp_path / "runs" / "many-all-s0-rows0.125").info().recipe
    assert told and [task["rows"] for task in told["tasks"]][:2] == [0.125, 1.0]
    shown = json.loads(page.with_name("report.json").read_text())
    assert [one["share"] for one in shown["rows"]] == [0.125, 0.5, 1.0]
    assert shown["curves"]["many-all"][0]["seeds"] == 1
    assert "| `0.125 of the rows` |" in page.with_name("report.md").read_text()


def test_a_run_of_a_version_with_fewer_keys_goes_on(tmp_path: Path) -> None:
    made(tmp_path, plan("many-all", seeds=1))
    (tmp_path / "results" / "many-all-s0.json").unlink()
    path = tmp_path / "runs" / "many-all-s0" / "run.json"
    known = json.loads(path.read_text())
    for task in known["recipe"]["tasks"]:
        del task["rows"]
    path.write_text(json.dumps(known))
    crew, _ = made(tmp_path, plan("many-all", seeds=1))
    assert crew.measured == ["many-all-s0"]


RECIPE = """
model = "tiny"
template.style = "plain"
episodes.max_tokens = 128
train.tokens = 3000
train.batch_tokens = 128
evaluation = { shots = [0, 2], queries = 4 }

[study]
arms = ["many-all"]
seeds = 1
search.optimizer.learning_rate = [1e-9, 5e-3]

[[tasks]]
source = "tiny:topic-00"

[[tasks]]
source = "tiny:topic-01"
role = "held_out"
"""


@pytest.mark.long
@pytest.mark.parametrize("judge", ["prequential", "topic-01"])
def test_of_a_rate_that_changes_nothing_and_one_that_learns_the_second_is_found(
    tmp_path: Path, yofo: Any, judge: str
) -> None:
    (tmp_path / "small.toml").write_text(RECIPE)
    words = ["study", tmp_path / "small.toml", "--out", tmp_path / "out"]
    if judge == "topic-01":
        more = "[{source='tiny:topic-00'},{source='tiny:topic-01',role='held_out'},"
        more += "{source='tiny:topic-02',role='held_out'}]"
        words += ["--set", f"tasks={more}", "--set", "study.choose_on=['topic-01']"]
    code, _, err = yofo(*words)
    assert code == 0, err
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    chosen = [one["values"][RATE] for one in told["tried"] if one["chosen"]]
    assert len(told["tried"]) == 2 and chosen == [5e-3]
    assert {*told["curves"]["many-all"][0]} and told["by_loss"] == (judge == "prequential")
