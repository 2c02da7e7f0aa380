"""Studies of two small tasks, and children that only pretend."""

import json
from pathlib import Path
from typing import Any

from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.crew import Crew
from yofo_mlx.runs.folder import Run
from yofo_mlx.study.arms import chosen
from yofo_mlx.study.plan import StudyPlan, as_asked
from yofo_mlx.study.results import MeasuredTask, Result, read_result, write_result
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example, Task

HELD_OUT = ("one", "two", "judge", "beside")


def recipe(**changed: Any) -> Recipe:
    data: dict[str, Any] = {
        "model": "tiny",
        "episodes": {"max_tokens": 64},
        "train": {"tokens": 500},
        "evaluation": {"shots": [0, 2], "queries": 3},
        "tasks": [
            {"source": "tiny:topic-00"},
            *({"source": f"tiny:{name}", "role": "held_out"} for name in HELD_OUT),
        ],
    }
    return Recipe.model_validate_json(json.dumps(data | changed))


def entries() -> list[TaskEntry]:
    examples = tuple(Example(f"{n}", "even odd".split()[n % 2]) for n in range(9))

    def entry(name: str, role: str) -> TaskEntry:
        task = Task(name, "classification", examples, test=examples, labels=("even", "odd"))
        return TaskEntry(task, role, "exact", None, 1.0, f"print of {name}")

    return [entry("trained", "train"), *(entry(name, "held_out") for name in HELD_OUT)]


def plan(*arms: str, asked: dict[str, Any] | None = None, **study: Any) -> StudyPlan:
    settings = {"apart": ["beside"], "choose_on": ["judge"], "seeds": 2} | study
    whole = as_asked(recipe(study=settings), **(asked or {}))
    return StudyPlan("made", whole, chosen(arms or None), entries(), apart=True)


def scored(queries: int, score: float = 1.0) -> dict[str, tuple[float, float]]:
    return {f"q{n}": (score, 1.5 - score) for n in range(queries)}


class PretendingCrew(Crew):
    """Trains and measures nothing, and notes what it was asked to do."""

    def __init__(self, scores: dict[str, float] | None = None, failing: str = "") -> None:
        super().__init__()
        self.trained: list[str] = []
        self.jobs: list[dict[str, Any]] = []
        self._scores, self._failing = scores or {}, failing

    def train(self, run: Run, on_event: Any, **how: Any) -> None:
        self.trained.append(run.run_id)
        if run.run_id == self._failing:
            from yofo_mlx.errors import RunError

            raise RunError("it came to grief", "mend it")

    def call(self, module: str, *arguments: str, **how: Any) -> None:
        job = json.loads(how["line"])
        self.jobs.append(job)
        path = Path(job["path"])
        result = read_result(path) or Result.model_validate(job["result"])
        evaluation = job["recipe"]["evaluation"]
        prints = {one.task.name: one.fingerprint for one in entries()}
        for name in job["tasks"]:
            cells = result.cells.setdefault(name, {})
            for shots in evaluation["shots"]:
                score = self.score(job)
                cells[shots] = scored(evaluation["queries"], score)
            known = result.tasks.get(name)
            result.tasks[name] = MeasuredTask(
                fingerprint=prints[name],
                family="classification",
                metric="exact",
                labels=2,
                asked=(known.asked if known else {})
                | dict.fromkeys(evaluation["shots"], evaluation["queries"]),
            )
        if "choice" in job["more"]:
            for name in job["tasks_with_labels"]:
                result.choice[name] = {f"q{n}": 1.0 for n in range(9)}
                result.outside[name] = {f"q{n}": 0.0 for n in range(9)}
        how["on_line"](["measured", 1, 1])
        write_result(path, result)

    def score(self, job: dict[str, Any]) -> float:
        return self._scores.get(Path(job["path"]).stem, 1.0)

    @property
    def measured(self) -> list[str]:
        return [Path(job["path"]).stem for job in self.jobs]
