"""`yofo eval`: scores by number of shots on held-out tasks, base against adapter."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import mlx.core as mx

from yofo_mlx import evaluations, runs
from yofo_mlx.adapters import CONFIG_FILE, WEIGHTS_FILE, load_adapter
from yofo_mlx.commands.background import find_planner
from yofo_mlx.commands.train import load_trained
from yofo_mlx.environment import describe
from yofo_mlx.errors import ExitCode, RecipeError, RunError
from yofo_mlx.evaluate import evaluate_entry
from yofo_mlx.evaluation_plan import most_asked, plan_evaluation, refused
from yofo_mlx.evaluations import Content, EvaluationFile
from yofo_mlx.events import figure, finite
from yofo_mlx.files import digest
from yofo_mlx.models import Base
from yofo_mlx.plan import LEAST_CACHE
from yofo_mlx.prompting.fingerprint import model_fingerprint
from yofo_mlx.prompts import prompts_of
from yofo_mlx.recipe import Recipe
from yofo_mlx.report import draw, table
from yofo_mlx.runs import Run
from yofo_mlx.scores import TaskScores
from yofo_mlx.talk import say
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.text import printable, reason

PICTURES = (".png", ".svg", ".pdf")
SHOWN = 60  # names of tasks in an error


def evaluate_run(
    name: str,
    overrides: Sequence[str] = (),
    *,
    only: Sequence[str] = (),
    as_json: bool = False,
    picture: Path | None = None,
) -> ExitCode:
    """Measure a run's held-out tasks without and with its adapter; keep the result with the run."""
    run = runs.find(name)
    _check_places(run, picture)
    if not run.adapter_path.is_dir():
        raise RunError(
            f"run {run.run_id} has no adapter yet (it is {run.status()})",
            "wait for its first validation or its end",
        )
    recipe, base, workload = load_trained(run, overrides)
    entries = _choose(workload.held_out, only, given=len(recipe.tasks))
    _check_measurable(base, recipe, entries)
    at_once = _copies(recipe, base, entries)
    with tempfile.TemporaryDirectory() as folder:
        adapter = _copy_adapter(run, Path(folder))  # a trainer may put a better one in its place
        asked = _asked(run, recipe, base, entries, adapter)
        kept = evaluations.begin(run, asked, full=not only and not overrides)
        _measure(kept, run, base, recipe, entries, adapter, at_once)
    path = picture or kept.path.with_suffix(PICTURES[0])
    draw(kept.content, path)
    print(json.dumps(finite(kept.content)) if as_json else table(kept.content))
    say(f"kept in {printable(str(kept.path))}\npicture: {printable(str(path))}")
    return ExitCode.OK


def _measure(
    kept: EvaluationFile,
    run: Run,
    base: Base,
    recipe: Recipe,
    entries: list[TaskEntry],
    adapter: Path,
    at_once: int | None,
) -> None:
    """Measure what is not kept yet, without and then with the adapter."""
    try:
        for model in evaluations.MODELS:
            if model == "adapter":
                _mount(base, run, adapter)
            left = [entry for entry in entries if not kept.has(model, entry.task.name)]
            if len(left) < len(entries):
                say(f"{model}: {len(entries) - len(left)} of {len(entries)} tasks are kept already")
            for scores in _each(base, recipe, left, model, at_once):
                kept.add(model, scores)
        kept.finish()
    except KeyboardInterrupt:
        say("\nwhat was measured is kept; the same command goes on")
        raise


def _copies(recipe: Recipe, base: Base, entries: list[TaskEntry]) -> int | None:
    """Return how many queries there is memory for at once; refuse what has none for a single one.

    None where the model's sizes are not known.
    """
    planner = find_planner(recipe)
    asked = most_asked(recipe, entries, base.tokenizer)
    if planner is None or asked is None:
        return None
    plan = plan_evaluation(planner, asked)
    if refusal := refused(plan, planner.limit):
        raise refusal
    mx.set_cache_limit(max(plan.work, LEAST_CACHE))  # what one group frees, the next one takes
    return plan.copies


def measure(base: Base, recipe: Recipe, entries: list[TaskEntry], what: str) -> list[TaskScores]:
    """Measure every task with the model as it is."""
    return list(_each(base, recipe, entries, what))


def _each(
    base: Base, recipe: Recipe, entries: list[TaskEntry], what: str, at_once: int | None = None
) -> Iterator[TaskScores]:
    base.model.eval()
    for number, entry in enumerate(entries, 1):
        _talk(f"\r{what}: task {number} of {len(entries)}")
        yield evaluate_entry(base, recipe, entry, at_once=at_once)
    _talk("\n")


def _talk(text: str) -> None:
    if sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)


def _asked(
    run: Run, recipe: Recipe, base: Base, entries: list[TaskEntry], adapter: Path
) -> Content:
    """Return all that the figures depend on."""
    evaluation = recipe.evaluation
    limit = recipe.longest_prompt
    if base.context and limit > max(base.context, recipe.episodes.max_tokens):
        say(f"warning: prompts may have {limit} tokens; the model knows at most {base.context}")
    return {
        "versions": describe()["versions"],
        "model": {
            "name": recipe.model,
            "revision": base.revision,
            "fingerprint": model_fingerprint(base.path),
        },
        "adapter": {"step": _best_step(run), "sha256": digest(adapter / WEIGHTS_FILE)},
        "seed": recipe.seed,
        "template": recipe.template.model_dump(mode="json"),
        "evaluation": evaluation.model_dump(mode="json") | {"max_tokens": limit},
        "tasks": {
            entry.task.name: {
                "fingerprint": entry.fingerprint,
                "metric": entry.metric,
                "answer_after": entry.answer_after,
                "separator": entry.separator,
            }
            for entry in entries
        },
    }


def _best_step(run: Run) -> int | None:
    """Return the step that the adapter is of, None if the run was never validated."""
    best = [event for event in run.events() if event["kind"] == "eval" and event.get("best")]
    step = figure(best[-1], "step") if best else None
    return None if step is None else int(step)


def _mount(base: Base, run: Run, adapter: Path) -> None:
    """Put the copied adapter on; what is wrong with it is told of the run's own."""
    try:
        load_adapter(base.model, adapter)
    except RunError as error:
        message = error.message.replace(str(adapter), str(run.adapter_path))
        raise RunError(message, error.hint) from error


def _copy_adapter(run: Run, folder: Path) -> Path:
    try:
        for name in (WEIGHTS_FILE, CONFIG_FILE):
            shutil.copyfile(run.adapter_path / name, folder / name)
    except OSError as error:
        hint = f"an adapter is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}"
        raise RunError(f"{run.adapter_path} cannot be read: {reason(error)}", hint) from error
    return folder


def _check_places(run: Run, picture: Path | None) -> None:
    """Refuse what could not be written, before minutes of measuring."""
    if picture and (picture.suffix.lower() not in PICTURES or picture.is_dir()):
        raise RecipeError(f"{picture}: pictures are .png, .svg or .pdf", "give it such a name")
    folders = [picture.parent] if picture else []
    folders.append(run.evaluations_path if os.path.lexists(run.evaluations_path) else run.path)
    for folder in folders:
        leads_away = folder == run.evaluations_path and folder.is_symlink()
        if leads_away or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise RecipeError(f"{folder} is not a folder to write to", "choose another place")


def _check_measurable(base: Base, recipe: Recipe, entries: list[TaskEntry]) -> None:
    reasons: list[str] = []
    for entry in entries:
        _, prompts = prompts_of(recipe, entry, base.tokenizer)
        if not prompts.reason:
            return
        reasons.append(f"{entry.task.name}: {prompts.reason}")
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    raise RecipeError(
        f"no held-out task can be measured; {reasons[0]}{more}",
        "change evaluation.shots, raise evaluation.max_tokens, or give the tasks other rows",
    )


def _choose(entries: list[TaskEntry], only: Sequence[str], given: int) -> list[TaskEntry]:
    """Return the tasks of these names or kinds, all without any."""
    if not entries:
        raise RecipeError(
            "the run's recipe has no held-out task",
            f"name one: --set tasks.{given}.source=FILE --set tasks.{given}.role=held_out",
        )
    known = {name for entry in entries for name in (entry.task.name, entry.task.kind) if name}
    if unknown := sorted(set(only) - known):
        names = sorted(known)
        more = ", ..." if len(names) > SHOWN else ""
        raise RecipeError(
            f"no held-out task is called {', '.join(unknown)}",
            "there are: " + ", ".join(names[:SHOWN]) + more,
        )
    return [entry for entry in entries if not only or {entry.task.name, entry.task.kind} & {*only}]
