"""A study is made arm by arm, and only as far as it is not there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.study.made import PretendingCrew, plan
from yofo_mlx.commands.study_display import STOPPING, _Lines
from yofo_mlx.errors import RunError
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.folder import Run
from yofo_mlx.study.making import Making, _origin
from yofo_mlx.study.plan import StudyPlan
from yofo_mlx.study.results import StudyFolder
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.tasks.task import Example, Task


def made(folder: Path, of: StudyPlan, crew: PretendingCrew | None = None, jobs: int = 1) -> Making:
    study = StudyFolder(folder)
    study.begin(of.identity("print"), of.shown)
    making = Making(of, study, crew or PretendingCrew())
    making.run(jobs, lambda making: None)
    return making


def crew_of(making: Making) -> PretendingCrew:
    assert isinstance(making.crew, PretendingCrew)
    return making.crew


def test_what_is_most_important_is_made_first_seed_by_seed(tmp_path: Path) -> None:
    crew = crew_of(made(tmp_path, plan("few-all", "zero-shot", "many-all", "base")))
    assert crew.measured == [
        "base-s0",
        "many-all-s0",
        "zero-shot-s0",
        "few-all-s0",
        "base-s1",
        "many-all-s1",
        "zero-shot-s1",
    ]
    assert "base-s0" not in crew.trained


def test_an_arm_whose_result_is_there_is_not_made_again_on_another_machine_either(
    tmp_path: Path,
) -> None:
    made(tmp_path / "here", plan("base", "many-all"))
    (tmp_path / "there" / "results").mkdir(parents=True)
    for name in ("study.json", "results/base-s0.json", "results/many-all-s0.json"):
        (tmp_path / "there" / name).write_bytes((tmp_path / "here" / name).read_bytes())
    crew = crew_of(made(tmp_path / "there", plan("base", "many-all")))
    assert crew.measured == ["base-s1", "many-all-s1"]
    assert crew.trained == ["many-all-s1"]


def test_more_shots_measure_only_the_tasks_that_lack_them_and_train_nothing(
    tmp_path: Path,
) -> None:
    made(tmp_path, plan("many-all", seeds=1))
    (path,) = (tmp_path / "results").iterdir()
    content = json.loads(path.read_text())
    content["tasks"]["two"]["asked"]["4"] = 3
    path.write_text(json.dumps(content))
    crew = crew_of(made(tmp_path, plan("many-all", seeds=1, asked={"shots": (0, 2, 4)})))
    assert [job["tasks"] for job in crew.jobs] == [["one", "beside"]]
    assert [job["more"] for job in crew.jobs] == [[]]


def test_shots_that_had_no_room_are_asked_where_prompts_may_be_longer(tmp_path: Path) -> None:
    made(tmp_path, plan("many-all", seeds=1))
    (path,) = (tmp_path / "results").iterdir()
    content = json.loads(path.read_text())
    for name in ("one", "two", "beside"):
        content["tasks"][name]["asked"]["64"] = 3
        content["tasks"][name]["room"] = {"64": 64}
    path.write_text(json.dumps(content))
    of = plan("many-all", seeds=1, asked={"shots": (0, 64)})
    assert not crew_of(made(tmp_path, of)).jobs
    longer = of.recipe.evaluation.model_copy(update={"max_tokens": 999})
    of = replace(of, recipe=of.recipe.model_copy(update={"evaluation": longer}))
    assert [job["tasks"] for job in crew_of(made(tmp_path, of)).jobs] == [["one", "two", "beside"]]


def test_tasks_apart_from_the_mean_are_measured_when_asked(tmp_path: Path) -> None:
    without = replace(plan("base", seeds=1), apart=False)
    assert crew_of(made(tmp_path, without)).jobs[0]["tasks"] == ["one", "two"]
    assert crew_of(made(tmp_path, plan("base", seeds=1))).jobs[0]["tasks"] == ["beside"]


def test_other_rows_of_a_task_are_measured_anew(tmp_path: Path) -> None:
    made(tmp_path, plan("base"))
    path = tmp_path / "results" / "base-s0.json"
    path.write_text(path.read_text().replace("print of one", "print of others"))
    jobs = crew_of(made(tmp_path, plan("base"))).jobs
    assert [(job["tasks"], job["more"]) for job in jobs] == [(["one"], ["choice"])]


def test_a_failing_arm_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    crew = PretendingCrew(failing="many-all-s0")
    making = made(tmp_path, plan("base", "many-all", "few-all", seeds=1), crew, jobs=2)
    assert {name: error.message for name, error in making.failed.items()} == {
        "many-all-s0": "it came to grief"
    }
    assert sorted(crew.measured) == ["base-s0", "few-all-s0"]


def test_the_better_rate_on_the_tasks_for_choosing_goes_on_with_the_other_seeds(
    tmp_path: Path,
) -> None:
    crew = PretendingCrew({"many-all-s0-lr0.001": 0.2, "many-all-s0-lr0.01": 0.7})
    made(tmp_path, plan("many-all", learning_rates=[0.001, 0.01]), crew)
    assert crew.measured == [
        "many-all-s0-lr0.001",
        "many-all-s0-lr0.01",
        "many-all-s0-lr0.01",
        "many-all-s1-lr0.01",
    ]
    assert [job["tasks"] for job in crew.jobs] == [
        ["judge"],
        ["judge"],
        ["one", "two", "beside"],
        ["one", "two", "beside"],
    ]


def test_an_arm_that_tries_no_rates_has_the_one_that_was_chosen_for_the_reference(
    tmp_path: Path,
) -> None:
    crew = PretendingCrew({"many-all-s0-lr0.001": 0.2, "many-all-s0-lr0.01": 0.7})
    asked = plan("many-all", "few-all", "dedicated-64", learning_rates=[0.001, 0.01], seeds=1)
    made(tmp_path, asked, crew)
    assert crew.measured[3:] == [
        "few-all-s0-lr0.01",
        "dedicated-64-one-s0-lr0.01",
        "dedicated-64-two-s0-lr0.01",
    ]
    few = tmp_path / "runs" / "few-all-s0-lr0.01" / "recipe.toml"
    assert "learning_rate = 0.01" in few.read_text()


def test_one_rate_is_the_rate_of_all_arms_and_without_the_reference_it_is_the_recipes_own(
    tmp_path: Path,
) -> None:
    both = crew_of(made(tmp_path / "1", plan("many-all", "few-all", learning_rates=[0.01])))
    assert both.measured[:2] == ["many-all-s0-lr0.01", "few-all-s0-lr0.01"]
    alone = crew_of(made(tmp_path / "2", plan("few-all", learning_rates=[0.001, 0.01])))
    assert alone.measured == ["few-all-s0"]


def test_a_dedicated_adapter_is_trained_on_rows_of_its_own_task_and_asked_that_alone(
    tmp_path: Path,
) -> None:
    crew = crew_of(made(tmp_path, plan("dedicated-64", "dedicated-all", dedicated_tokens=90)))
    assert crew.measured[:2] == ["dedicated-64-one-s0", "dedicated-64-two-s0"]
    assert [job["tasks"] for job in crew.jobs] == [["one"], ["two"]] * 2
    rows = (tmp_path / "runs" / "data" / "dedicated-all-one-s0.jsonl").read_text().splitlines()
    assert len(rows) == 9 and json.loads(rows[0]).keys() == {"input", "output"}


def test_rows_of_a_dedicated_adapter_are_read_as_the_task_was(tmp_path: Path) -> None:
    of = plan("dedicated-all")
    rows = tuple(Example(f"{n}", ("red; blue", "red")[n % 2]) for n in range(8))
    task = Task("one", "multilabel", rows, test=rows, labels=("red", "blue"))
    one = TaskEntry(task, "held_out", "f1", None, 1.0, "print of one", separator="; ")
    of = replace(of, entries=[one, *(e for e in of.entries if e.task.name != "one")])
    made(tmp_path, of, PretendingCrew(failing="dedicated-all-two-s0"))
    trained = Run(tmp_path / "runs" / "dedicated-all-one-s0").info().recipe
    source = Recipe.model_validate_json(json.dumps(trained)).tasks[0]
    (read,) = load_tasks([source], 0, tmp_path)
    assert {(e.input, e.output) for e in read.task.train} == {(e.input, e.output) for e in rows}
    assert read.separator == "; " and {*read.task.labels} == {"red", "blue"}


def test_who_was_asked_to_stop_begins_nothing_more(tmp_path: Path) -> None:
    crew = PretendingCrew()
    of = plan("base", "many-all")
    folder = StudyFolder(tmp_path)
    folder.begin(of.identity("print"), of.shown)
    making = Making(of, folder, crew)

    def stop_after_one(making: Making) -> None:
        if making.took:
            crew.stop()

    making.run(1, stop_after_one)
    assert len(crew.measured) < 3 and making.left()


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"lora": {"rank": 2}}, "lora.rank is 8 there, 2 here"), ({"seed": 3}, "seed")],
)
def test_a_folder_of_another_recipe_is_refused_and_left_alone(
    tmp_path: Path, changed: dict[str, Any], word: str
) -> None:
    made(tmp_path, plan("base"))
    before = (tmp_path / "study.json").read_bytes()
    other = plan("base")
    data = json.loads(other.recipe.model_dump_json()) | changed
    other = StudyPlan("made", type(other.recipe).model_validate_json(json.dumps(data)), other.arms)
    with pytest.raises(RunError, match=word) as caught:
        StudyFolder(tmp_path).begin(other.identity("print"), {})
    assert "--out" in caught.value.hint
    assert (tmp_path / "study.json").read_bytes() == before


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="something else"):
        StudyFolder(tmp_path).begin(plan().identity("print"), {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_is_kept_names_no_place_of_this_machine(tmp_path: Path) -> None:
    made(tmp_path, plan("base", "dedicated-64"))
    kept = [tmp_path / "study.json", *(tmp_path / "results").iterdir()]
    assert not [path for path in kept if str(tmp_path) in path.read_text()]
    assert (tmp_path / ".gitignore").read_text().startswith("/runs/")


def test_who_stops_a_study_is_told_once_each_time_what_that_does(tmp_path: Path) -> None:
    making = Making(plan("base"), StudyFolder(tmp_path), PretendingCrew())
    said: list[str] = []
    lines = _Lines(said.append)
    for _ in range(2):
        making.crew.stop()
        lines.show(making)
        lines.show(making)
    assert said == [*STOPPING]


def test_where_the_models_own_answers_change_nothing_is_told() -> None:
    none = {"rows": 40, "own": 10, "paraphrase": 0, "changed": 0}
    some = none | {"own": 20, "changed": 8}
    about = {"all": some, "families": {"nli": none, "qa": some}, "settings": {"limit": 40}}
    words = _origin(about, 90.0)
    assert "none is other in nli" in words and "50% are the model's own" in words
    assert "at most 40 rows" in words and "asking took 1 min 30 s" in words
    assert _origin({}, None) == ""
