"""What a study makes: which adapters in which order, of which recipe, measured on what."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError
from yofo_mlx.evaluation.labels import labels_of
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.study import Study
from yofo_mlx.runs.names import slug
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.study.arms import ARMS, REFERENCE, Arm, overrides_of, prepared
from yofo_mlx.study.results import Result, Values
from yofo_mlx.study.search import best, of_arm, points, words
from yofo_mlx.tasks.registry import TaskEntry, with_queries

MOST_JUDGES = 8  # of the training tasks
# What changes no adapter, and no answer that is kept.
_FREE = {"description", "study", "evaluation", "memory", "seed"}


@dataclass(frozen=True)
class Trial:
    """One adapter: an arm with a seed, of a dedicated one its task, of a search its values."""

    arm: Arm
    seed: int = 0  # beside the recipe's own
    values: Values = ()
    task: str | None = None
    rows: float | None = None  # share of the training rows; None: all

    @property
    def name(self) -> str:
        """Return what its run and its result are called."""
        parts = [self.arm.name, slug(self.task) if self.task else "", f"s{self.seed}"]
        parts += words(self.values)
        parts += [f"rows{self.rows:g}"] if self.rows else []
        return "-".join(filter(None, parts))


@dataclass(frozen=True)
class Work:
    """A trial, and what it has to be measured on."""

    trial: Trial
    tasks: tuple[str, ...]
    extras: bool = False  # forgetting, and the choice among given labels


@dataclass(frozen=True)
class StudyPlan:
    """A study as it was asked for."""

    name: str
    recipe: Recipe  # names resolved, lengths and evaluation as asked for
    arms: Sequence[Arm]
    entries: Sequence[TaskEntry] = field(default=(), repr=False)
    texts: str = ""  # fingerprint of those that tell what was forgotten
    apart: bool = False  # the tasks beside the mean as well

    @property
    def settings(self) -> Study:
        """Return the table `[study]`."""
        return self.recipe.study or Study()

    @cached_property
    def held_out(self) -> dict[str, TaskEntry]:
        """Return the tasks that are measured, by name."""
        return {one.task.name: one for one in self.entries if one.role == "held_out"}

    @property
    def mean_tasks(self) -> tuple[str, ...]:
        """Return the tasks that means are over."""
        others = {*self.settings.choose_on, *self.settings.apart}
        return tuple(name for name in self.held_out if name not in others)

    @cached_property
    def judges(self) -> dict[str, TaskEntry]:
        """Return the tasks that choose among values: `choose_on`, else some that are trained."""
        if names := self.settings.choose_on:
            return {name: self.held_out[name] for name in names}
        trained = [one for one in self.entries if one.role == "train"]
        return {one.task.name: one for one in with_queries(trained, MOST_JUDGES)}

    def check(self) -> None:
        """Refuse names of no held-out task, and a recipe without any."""
        named = (*self.settings.choose_on, *self.settings.apart)
        if unknown := [name for name in named if name not in self.held_out]:
            raise RecipeError(
                f"[study]: no held-out task is called {', '.join(unknown)}",
                "there are: " + ", ".join([*self.held_out][:40]),
            )
        if not self.mean_tasks:
            raise RecipeError(
                "a study measures held-out tasks, and the recipe has none to take a mean of",
                'give one of its [[tasks]] `role = "held_out"`',
            )
        self._check_search()

    def _check_search(self) -> None:
        """Refuse values that no arm can be trained with, and those that nothing chooses among."""
        main = [arm for arm in self.arms if arm.is_main]
        if main and (idle := [k for k in self.settings.axes if all(arm.says(k) for arm in main)]):
            raise RecipeError(
                f"[study]: no arm is tried with other values of {', '.join(idle)}",
                "arms differ in that themselves (docs/study.md): leave it out of `search`",
            )
        for arm in main:
            tried = points(self.settings, arm)
            if len(tried) > 1 and not self.judges:
                raise RecipeError(
                    "[study]: nothing chooses among the values that are tried",
                    "name held-out tasks in `choose_on`, or let training tasks set rows aside"
                    " (`valid_share`)",
                )
            for values in tried:
                self.recipe_of(Trial(arm, values=values), Path())

    def recipe_of(self, trial: Trial, folder: Path) -> Recipe:
        """Return the recipe of a trial's run; `folder` is where data of its own lie."""
        changes = [f"{key}={json.dumps(value)}" for key, value in trial.values]
        changes += overrides_of(trial.arm, self.recipe)
        data = prepared(trial.arm, self.recipe.model_dump(mode="json"))
        data["seed"] = self.recipe.seed + trial.seed
        if trial.rows:
            for task in data["tasks"]:
                task["rows"] *= trial.rows if task["role"] == "train" else 1.0
        if trial.task:
            data["train"]["tokens"] = self.settings.dedicated_tokens
            held_out = [one for one in data["tasks"] if one["role"] == "held_out"]
            data["tasks"] = [self._own_rows(trial, folder), *held_out]
        data.pop("study")
        return resolve(data, trial.name, None, changes)

    def _own_rows(self, trial: Trial, folder: Path) -> dict[str, Any]:
        entry = self.held_out[trial.task or ""]
        return {
            "name": f"{entry.task.name} (own rows)",
            "source": str(folder / f"{trial.name}.jsonl"),
            "input": "input",
            "output": "output",
            "family": entry.task.family,
            "instruction": entry.task.instruction,
            "metric": entry.metric,
            "valid_share": 0.0,
            "label_subset": False,
            **({"labels": list(entry.task.labels)} if entry.task.labels else {}),
            **({"separator": entry.separator} if entry.separator is not None else {}),
        }

    @property
    def shown(self) -> dict[str, Any]:
        """Return what the report has to know beside the results."""
        return {
            "name": self.name,
            "mean": self.mean_tasks,
            "apart": self.settings.apart,
            "choose_on": self.settings.choose_on,
            "learning_rates": self.settings.learning_rates,
            "search": self.settings.search or {},
            "sample": self.settings.sample,
            "rows": self.settings.rows,
            "judges": [*self.judges],
        }

    def identity(self, model: str) -> dict[str, Any]:
        """Return what the adapters depend on, without a path; `model` is its fingerprint."""
        data = self.recipe.model_dump(mode="json")
        kept = {key: value for key, value in data.items() if key not in _FREE}
        trained = [one for one in data["tasks"] if one["role"] == "train"]
        kept["sources"] = [Path(one["source"]).name for one in trained]
        del kept["tasks"]
        kept["model"] = model  # the same files by whatever name
        del kept["revision"]
        adapter = data["init_adapter"]
        kept["init_adapter"] = Path(adapter).name if adapter else None
        rows = {one.task.name: one.fingerprint for one in self.entries if one.role == "train"}
        own = {
            "seed": self.recipe.seed,
            "dedicated_tokens": self.settings.dedicated_tokens,
            "rehearse_rows": self.settings.rehearse_rows,
        }
        return {**kept, **own, "training_rows": rows}

    def work(self, results: Mapping[str, Result]) -> list[Work]:
        """Return everything that is to be made, as far as results tell: in this order."""
        found: list[Work] = []
        for seed in range(self.settings.seeds):
            for arm in self.arms:
                # The base is asked behind the demonstrations of every seed, as the main arms are.
                if arm.is_main or seed == 0 or not arm.trains:
                    found += self._of_arm(arm, seed, results)
            found += self._of_shares(seed, results)
        return found

    def _of_arm(self, arm: Arm, seed: int, results: Mapping[str, Result]) -> list[Work]:
        if not arm.trains:
            return [Work(Trial(arm, seed), self._shown, extras=seed == 0)]
        tried = points(self.settings, arm) if arm.is_main and seed == 0 else []
        work = [Work(Trial(arm, 0, one), tuple(self.judges)) for one in tried if len(tried) > 1]
        values = self.values_of(arm, results)
        if values is None:
            return work
        if arm.is_dedicated:
            return [Work(Trial(arm, seed, values, task), (task,)) for task in self.mean_tasks]
        return [*work, Work(Trial(arm, seed, values), self._shown, extras=True)]

    def _of_shares(self, seed: int, results: Mapping[str, Result]) -> list[Work]:
        """Return the reference trained on a share of the rows, once its values are known."""
        arm = ARMS[REFERENCE]
        values = self.values_of(arm, results) if arm in self.arms else None
        shares = [] if values is None else [one for one in self.settings.rows if one < 1]
        return [Work(Trial(arm, seed, values or (), rows=one), self._shown) for one in shares]

    @property
    def _shown(self) -> tuple[str, ...]:
        return (*self.mean_tasks, *(self.settings.apart if self.apart else ()))

    def values_of(self, arm: Arm, results: Mapping[str, Result]) -> Values | None:
        """Return the values that an arm is measured with, None while they are not known.

        Those of an arm that tries none are the reference's, or the recipe's own without it.
        """
        tried = points(self.settings, arm)
        if len(tried) == 1:
            return tried[0]
        if not arm.is_main:
            known = self.values_of(ARMS[REFERENCE], results) if ARMS[REFERENCE] in self.arms else ()
            return None if known is None else of_arm(known, arm)
        found = [results.get(Trial(arm, 0, one).name) for one in tried]
        if not all(self.is_done(Work(Trial(arm), tuple(self.judges)), one) for one in found):
            return None
        by_loss = not self.settings.choose_on
        return best(filter(None, found), [*self.judges], by_loss=by_loss) or tried[0]

    def is_done(self, work: Work, result: Result | None) -> bool:
        """Tell whether a result holds all that is asked."""
        return result is not None and not self.missing(work, result)

    def missing(self, work: Work, result: Result | None) -> list[str]:
        """Return what is still to be measured: tasks, and `forgetting`, `choice`."""
        asked = self.recipe.evaluation
        result = result or Result(arm=work.trial.arm.name, seed=work.trial.seed)
        missing = [
            name
            for name in work.tasks
            if not result.has(
                name,
                self._asked[name].fingerprint,
                self.queries(name),
                asked.shots,
                self.recipe.longest_prompt,
            )
        ]
        if work.extras:
            known = result.forgetting.fingerprint if result.forgetting else ""
            missing += ["forgetting"] if self.texts and known != self.texts else []
            ranked = {n for n in result.choice if n in result.tasks and self._is_fresh(n, result)}
            missing += ["choice"] if {*self.labelled} - ranked else []
        return missing

    def _is_fresh(self, task: str, result: Result) -> bool:
        known = self.held_out.get(task)
        return known is not None and result.tasks[task].fingerprint == known.fingerprint

    def queries(self, task: str) -> int:
        """Return how many queries are asked of a task."""
        return self._asked[task].queries or self.recipe.evaluation.queries

    @cached_property
    def _asked(self) -> dict[str, TaskEntry]:
        return self.judges | self.held_out

    @property
    def labelled(self) -> list[str]:
        """Return the tasks of the mean whose answers are one of some labels."""
        return [name for name in self.mean_tasks if labels_of(self.held_out[name].task)]


def as_asked(
    recipe: Recipe,
    *,
    tokens: int | None = None,
    queries: int | None = None,
    shots: Sequence[int] = (),
    seeds: int | None = None,
) -> Recipe:
    """Return a recipe as a study trains and measures it: equal tokens for all arms and all steps.

    There are no validations: the last adapter counts, of every arm.
    """
    train, evaluation = recipe.train, recipe.evaluation
    changed: dict[str, Any] = {"eval_every": None, "patience": None}
    a_step = train.batch_tokens or recipe.episodes.max_tokens
    changed |= {"batch_tokens": a_step, "batch_size": 1, "grad_accumulation_steps": 1}
    length = tokens or train.tokens or (train.steps or 1) * a_step
    changed |= {"tokens": length, "steps": None}
    asked: dict[str, Any] = {"valid_tasks": 0, "draws": 1}
    asked |= {"queries": queries} if queries else {}
    asked |= {"shots": tuple(sorted({*shots}))} if shots else {}
    settings = recipe.study or Study()
    return recipe.model_copy(
        update={
            "train": train.model_copy(update=changed),
            "evaluation": evaluation.model_copy(update=asked),
            "study": settings.model_copy(update={"seeds": seeds} if seeds else {}),
        }
    )
