"""`yofo train`, `yofo resume`: run the loop in this process."""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from yofo_mlx import launch, runs
from yofo_mlx.adapters import check_adapter
from yofo_mlx.awake import keep_awake
from yofo_mlx.checkpoints import list_checkpoints
from yofo_mlx.commands.background import find_planner, is_finished
from yofo_mlx.commands.display import STOPPING, Display, say_now, shown_on
from yofo_mlx.console import recorded
from yofo_mlx.errors import ExitCode, YofoError
from yofo_mlx.events import Event, EventWriter
from yofo_mlx.models import Base, load_base
from yofo_mlx.plan import Planner
from yofo_mlx.recipe import Recipe
from yofo_mlx.recipe_file import find_recipe, load_recipe
from yofo_mlx.record import differences, make_record
from yofo_mlx.restart import shrink
from yofo_mlx.runs import Run
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.train import train
from yofo_mlx.workload import Workload, make_workload

Note = tuple[str, str]  # message and hint of a warning


@dataclass(frozen=True)
class Loaded:
    """What a recipe names, in memory."""

    base: Base
    workload: Workload
    planner: Planner | None  # None where the model's sizes cannot be read


def start(
    recipe_name: str, overrides: Sequence[str], *, name: str | None = None, force: bool = False
) -> ExitCode:
    """Train a recipe in this process; everything is checked before a file is written.

    `force`: train also what the forecast says will not fit.
    """
    path = find_recipe(recipe_name)
    recipe = load_recipe(path, overrides)
    try:
        loaded = _load(recipe, force=force)
    except KeyboardInterrupt:
        print("interrupted before the run began; nothing was written", file=sys.stderr)
        return ExitCode.FAILED
    run = launch.create_run(recipe, name or path.stem)
    with runs.locked(run):
        return _train(run, recipe, loaded, [], detached=False)


def resume(name: str, lock: int | None = None, *, force: bool = False) -> ExitCode:
    """Go on with a run from its newest checkpoint, or begin one that was only created.

    `lock` is the descriptor of the run's lock where whoever started this process holds it.
    """
    run = runs.find(name)
    if is_finished(run):
        return ExitCode.OK
    with runs.locked(run, lock):
        if lock is None:  # a detached run may have been asked to stop already
            run.stop_path.unlink(missing_ok=True)
        try:
            recipe, notes = _recipe_of(run)
            loaded = _load(recipe, force=force or bool(list_checkpoints(run)), info=run.info())
        except YofoError as error:
            writer = EventWriter(run.events_path)
            writer.write("failed", step=0, message=error.message, hint=error.hint, cause=None)
            raise
        return _train(run, recipe, loaded, notes, detached=lock is not None)


def _recipe_of(run: Run) -> tuple[Recipe, list[Note]]:
    """Return the recipe that a run began with, and what the user should know of its going on."""
    recipe, as_written = launch.run_recipe(run)
    notes: list[Note] = []
    if not as_written:
        message = f"{run.recipe_path} was edited after the run began"
        notes.append((message, "the run goes on as it began; start a new one with the new recipe"))
    if warning := shrink(run):
        notes.append(warning)
    return recipe, notes


def load(recipe: Recipe) -> tuple[Base, Workload]:
    """Load a recipe's data, model and tokenizer; data first, since it fails sooner."""
    entries = load_tasks(recipe.tasks, recipe.seed, Path.cwd())
    return _load_model(recipe, entries)


def _load(recipe: Recipe, *, force: bool, info: Mapping[str, Any] = MappingProxyType({})) -> Loaded:
    """Load what a run needs; refuse, before the weights are loaded, what cannot fit.

    `info`: what run.json says of a run that goes on, which takes its steps as before.
    """
    entries = load_tasks(recipe.tasks, recipe.seed, Path.cwd())
    recipe = recipe.model_copy(update={"revision": _revision(info) or recipe.revision})
    planner = find_planner(recipe, info)
    if planner and not force:
        planner.check(recipe)
    return Loaded(*_load_model(recipe, entries), planner)


def _revision(info: Mapping[str, Any]) -> str | None:
    model = info.get("model")
    return model.get("revision") if isinstance(model, dict) else None


def _load_model(recipe: Recipe, entries: list[TaskEntry]) -> tuple[Base, Workload]:
    base = load_base(
        recipe.model, revision=recipe.revision, trust_remote_code=recipe.trust_remote_code
    )
    check_adapter(base.model, recipe.lora)
    return base, make_workload(recipe, entries, base.tokenizer)


def _train(
    run: Run, recipe: Recipe, loaded: Loaded, notes: list[Note], *, detached: bool
) -> ExitCode:
    notes = notes + _record(run, recipe, loaded)
    keep_awake()
    try:
        with recorded(run, detached=detached) as terminal, shown_on(terminal) as display:
            last = _train_until_stopped(run, recipe, loaded, notes, display)
    except KeyboardInterrupt:
        return _interrupted(run)
    print(run.path)
    if last["kind"] == "stopped":
        return _interrupted(run)
    verb = "eval" if loaded.workload.held_out else "chat"
    print(f"next: yofo {verb} {run.run_id}", file=sys.stderr)
    return ExitCode.OK


def _train_until_stopped(
    run: Run, recipe: Recipe, loaded: Loaded, notes: list[Note], display: Display
) -> Event:
    with _stop_requests(run) as stop:
        return train(
            run,
            recipe,
            loaded.base,
            loaded.workload,
            planner=loaded.planner,
            should_stop=stop.is_requested,
            on_event=display.show,
            warnings=notes,
        )


def _record(run: Run, recipe: Recipe, loaded: Loaded) -> list[Note]:
    """Write run.json; a run that goes on keeps its first one, and is told what differs."""
    info, record = run.info(), make_record(recipe, loaded.base, loaded.workload)
    if "data" in info:
        return list(differences(info, record))
    limit = {"limit_gb": loaded.planner.limit / 1e9 if loaded.planner else None}
    runs.save_info(run, info | record | limit)
    return []


def _interrupted(run: Run) -> ExitCode:
    saved = list_checkpoints(run)
    print(
        f"go on with: yofo resume {run.run_id}" if saved else "nothing was saved yet",
        file=sys.stderr,
    )
    return ExitCode.INTERRUPTED if saved else ExitCode.FAILED


class StopRequest:
    """Ctrl-C, SIGTERM or the run's `stop` file: finish the step, save, exit. Twice: now."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._signalled = False

    def is_requested(self) -> bool:
        """Tell whether anybody asked."""
        return self._signalled or self._run.stop_path.exists()

    def handle(self, number: int, frame: object) -> None:
        """Take a signal: the first one asks, the second one interrupts."""
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
        say_now(STOPPING)


@contextmanager
def _stop_requests(run: Run) -> Iterator[StopRequest]:
    request = StopRequest(run)
    before = {s: signal.signal(s, request.handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
