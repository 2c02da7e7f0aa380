"""Make a study: what is most important first, until everything asked for is there."""

import json
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from threading import Lock
from time import monotonic, sleep
from typing import Any

import numpy as np

from yofo_mlx.errors import Cancelled, RunError, YofoError
from yofo_mlx.recipe.file import to_toml
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.study import RATE
from yofo_mlx.rehearsal import outcome, tables
from yofo_mlx.rehearsal.store import is_held
from yofo_mlx.runs import launch
from yofo_mlx.runs.crew import Crew
from yofo_mlx.runs.events import Event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.study.arms import overrides_of
from yofo_mlx.study.job import Job
from yofo_mlx.study.plan import StudyPlan, Trial, Work
from yofo_mlx.study.results import Result, StudyFolder, TrainingCost
from yofo_mlx.system.files import disk_error, read_object, write_text
from yofo_mlx.system.quantities import duration
from yofo_mlx.system.text import escaped

TICK_S = 0.5
TOOK = "rehearsed-seconds.json"
MEASURER = "yofo_mlx.study.measuring"


@dataclass
class Status:
    """What is being done for a trial."""

    words: str = "starting"
    share: float = 0.0
    seconds_left: float | None = None
    began: float = field(default_factory=monotonic)


@dataclass
class Making:
    """A study under way, for whoever shows it."""

    plan: StudyPlan
    folder: StudyFolder
    crew: Crew = field(default_factory=Crew)
    now: dict[str, Status] = field(default_factory=dict)
    failed: dict[str, YofoError] = field(default_factory=dict)
    took: list[tuple[Work, float]] = field(default_factory=list)  # seconds of each that is done
    waiting: list[Work] = field(default_factory=list)
    jobs: int = 1
    rehearsing: Lock = field(default_factory=Lock)

    def left(self) -> list[Work]:
        """Return what is still to be made, and not under way nor failed."""
        results = self.folder.results()
        return [
            work
            for work in self.plan.work(results)
            if work.trial.name not in self.now
            and work.trial.name not in self.failed
            and not self.plan.is_done(work, results.get(work.trial.name))
        ]

    def run(self, jobs: int, on_tick: Callable[["Making"], None]) -> None:
        """Make everything, `jobs` adapters at a time; a failing one does not keep the others."""
        self.jobs = jobs
        running: dict[Future[None], Work] = {}
        with ThreadPoolExecutor(jobs) as pool:
            while True:
                if len(running) < jobs:
                    for work in self._next(jobs - len(running)):
                        self.now[work.trial.name] = Status()
                        running[pool.submit(self._make, work)] = work
                on_tick(self)
                if not running:
                    return
                for future in wait(running, TICK_S, FIRST_COMPLETED).done:
                    self._collect(running.pop(future), future)

    def _next(self, count: int) -> list[Work]:
        todo = [] if self.crew.is_stopping else self.left()
        self.waiting = todo[count:]
        return todo[:count]

    @property
    def share(self) -> float:
        """Return the share of the adapters that is done; what is under way counts in part."""
        begun = sum(status.share for status in [*self.now.values()])
        every = len(self.took) + len(self.waiting) + len(self.now)
        return (len(self.took) + begun) / max(1, every)

    @property
    def seconds_left(self) -> float | None:
        """Return about how long what waits will take, None before anything is done."""
        if not self.took:
            return None
        every = [seconds for _, seconds in self.took]
        total = 0.0
        for work in self.waiting:
            dedicated = work.trial.arm.is_dedicated
            alike = [s for one, s in self.took if one.trial.arm.is_dedicated == dedicated]
            total += fmean(alike or every)
        return total / self.jobs

    def _collect(self, work: Work, future: Future[None]) -> None:
        name = work.trial.name
        status = self.now.pop(name)
        try:
            future.result()
        except Cancelled:
            return
        except YofoError as error:
            self.failed[name] = error
        except OSError as error:
            self.failed[name] = disk_error(error, self.folder.path, "the same command")
        else:
            self.took.append((work, monotonic() - status.began))
            if not self.plan.is_done(work, self.folder.result(name)):
                self.failed[name] = RunError("it was measured, and its result is not whole")

    def _make(self, work: Work) -> None:
        """Train what has no adapter yet, and measure what is missing of it."""
        trial, status = work.trial, self.now[work.trial.name]
        run, recipe = None, self.plan.recipe
        if trial.arm.trains:
            own = self.plan.recipe_of(trial, self.folder.runs / "data")
            if trial.arm.rehearsed:
                status.words = "the model answers its training inputs"
                own = self._rehearsed(own)
            run = self._run_of(trial, own)
            if run.status() != "finished":
                self.crew.train(run, lambda event: _show(status, event))
        status.words, status.share, status.seconds_left = "loading to measure", 0.0, None
        missing = self.plan.missing(work, self.folder.result(trial.name))
        whole = self.plan.missing(work, None)
        job = Job(
            recipe=recipe.model_dump(mode="json"),
            path=str(self.folder.result_path(trial.name)),
            result=self._blank(trial, run).model_dump(mode="json"),
            adapter=str(run.adapter_path) if run else None,
            seed=trial.seed,
            tasks=[name for name in work.tasks if name in missing],
            more=[name for name in missing if name not in work.tasks],
            all_tasks=[*work.tasks],
            all_more=[name for name in whole if name not in work.tasks],
            tasks_with_labels=self.plan.labelled,
        )

        def on_line(told: Any) -> None:
            what, done, total = told
            status.words, status.share = what, done / total if total else 0.0

        log = self.folder.runs / f"{trial.name}.log"
        self.crew.call(MEASURER, log=log, line=job.dumps(), on_line=on_line)

    def _rehearsed(self, recipe: Recipe) -> Recipe:
        """Return a recipe on the model's own answers, which are asked for once for all arms."""
        place = self.folder.runs / "rehearsed"
        with self.rehearsing:
            about = read_object(place / outcome.ABOUT)
            if not about.get("finished"):
                file = self.folder.runs / "to-rehearse.toml"
                write_text(file, to_toml(self.plan.recipe))
                most = self.plan.settings.rehearse_rows
                words = ["rehearse", str(file), "--out", str(place)]
                words += ["--limit", str(most)] if most else []
                self._rehearse(words, place)
        own = [task for task in load_recipe(place / tables.RECIPE).tasks if task.role == "train"]
        others = [task for task in recipe.tasks if task.role == "held_out"]
        return recipe.model_copy(update={"tasks": (*own, *others)})

    def _rehearse(self, words: list[str], place: Path) -> None:
        """Let the model answer; one that was begun by a study that was killed is waited for."""
        while is_held(place / outcome.ANSWERS):
            if self.crew.is_stopping:
                raise Cancelled("asked to stop")
            sleep(TICK_S)
        began = monotonic()
        try:
            self.crew.call("yofo_mlx.cli", *words, log=self.folder.runs / "rehearsed.log")
        finally:
            took = read_object(self.folder.runs / TOOK).get("seconds", 0.0) + monotonic() - began
            write_text(self.folder.runs / TOOK, json.dumps({"seconds": round(took, 1)}))

    def _run_of(self, trial: Trial, recipe: Recipe) -> Run:
        """Return a trial's run folder, made where it is not there; with the data of its own."""
        if trial.task:
            self._write_rows(trial, Path(recipe.tasks[0].source))
        path = self.folder.runs / trial.name
        run = Run(path)
        if path.exists():
            if _trained_alike(run, recipe):
                return run
            raise RunError(f"{path} is a run of another recipe", "move it away, or name --out")
        return launch.create_at(path, recipe)

    def _write_rows(self, trial: Trial, path: Path) -> None:
        """Write the rows of the one task that a dedicated adapter is for."""
        entry = self.plan.held_out[trial.task or ""]
        task = entry.task
        rng = np.random.default_rng([self.plan.recipe.seed + trial.seed, trial.arm.rows or 0])
        order = rng.permutation(len(task.train))[: trial.arm.rows or None]
        rows = (
            {"input": one.input, "output": tables.output_of(one.output, entry)}
            for one in map(task.train.__getitem__, order)
        )
        path.parent.mkdir(exist_ok=True)
        write_text(path, "".join(escaped(json.dumps(row)) + "\n" for row in rows))

    def _blank(self, trial: Trial, run: Run | None) -> Result:
        searched: dict[str, Any] = dict(trial.values)
        said = [f"{key}={value}" for key, value in trial.values if key != RATE]
        result = Result(
            arm=trial.arm.name,
            seed=trial.seed,
            learning_rate=searched.pop(RATE, None),
            searched=searched,
            rows=trial.rows,
            task=trial.task,
        )
        if run:
            result.training = _cost(run, [*overrides_of(trial.arm, self.plan.recipe), *said])
        if trial.arm.rehearsed:
            seconds = read_object(self.folder.runs / TOOK).get("seconds")
            result.note = _origin(
                read_object(self.folder.runs / "rehearsed" / outcome.ABOUT), seconds
            )
        return result


def _origin(about: dict[str, Any], seconds: float | None) -> str:
    """Say where the targets of a rehearsal are from, where they change nothing, what they cost."""
    counts = about.get("all")
    if not counts:
        return ""
    limit = about.get("settings", {}).get("limit")
    own, said, changed = (counts[key] / counts["rows"] for key in ("own", "paraphrase", "changed"))
    words = [
        f"plain tuning: {why}" if (why := about.get("plain_tuning")) else "",
        f"of {counts['rows']:,} targets {own:.0%} are the model's own, {said:.0%} its paraphrases,"
        f" {changed:.0%} are other than the expected answers",
        f"none is other in {', '.join(same)}, where this is training on the expected answers"
        if changed and (same := [f for f, one in about["families"].items() if not one["changed"]])
        else "",
        f"at most {limit:,} rows of each training task, where other arms train on all"
        if limit
        else "",
        f"asking took {duration(seconds)}, which is in no other figure" if seconds else "",
    ]
    return "; ".join(filter(None, words))


def _show(status: Status, event: Event) -> None:
    """Keep what an event tells of a training."""
    if event["kind"] == "step":
        status.words = f"step {event['step']}  loss {event['loss']:.3f}"
        status.share, status.seconds_left = event["share"], event["seconds_left"]
    elif event["kind"] == "progress" and event["step"] == 0:
        status.words = str(event["phase"])


def _trained_alike(run: Run, recipe: Recipe) -> bool:
    """Tell whether a run trains what a recipe says; how it is measured is another matter.

    What was written when recipes had fewer keys says by its silence what is the default now.
    """
    try:
        known = Recipe.model_validate_json(json.dumps(run.info().recipe))
    except ValueError:
        return False
    return _trained(known.model_dump(mode="json")) == _trained(recipe.model_dump(mode="json"))


def _trained(data: dict[str, Any]) -> dict[str, Any]:
    free = {"evaluation", "memory", "description"}
    kept = {key: value for key, value in data.items() if key not in free}
    return kept | {"tasks": [one for one in data.get("tasks", ()) if one["role"] == "train"]}


def _cost(run: Run, overrides: list[str]) -> TrainingCost:
    steps = [event for event in run.events() if event["kind"] == "step"]
    pace = sum(event["tokens"] / event["tokens_per_s"] for event in steps if event["tokens_per_s"])
    return TrainingCost(
        tokens=sum(event["tokens"] for event in steps),
        targets=sum(event["targets"] for event in steps),
        updates=len(steps),
        seconds=round(pace, 1),
        learning_rate=(run.info().recipe or {}).get("optimizer", {}).get("learning_rate", 0.0),
        overrides=overrides,
    )
