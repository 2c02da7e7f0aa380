"""`yofo train`, `yofo resume`: run the loop in this process, or detached."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx import launch, runs
from yofo_mlx.adapters import check_adapter
from yofo_mlx.checkpoints import list_checkpoints
from yofo_mlx.commands.display import make_display
from yofo_mlx.environment import describe
from yofo_mlx.errors import ExitCode, RecipeError, YofoError
from yofo_mlx.events import EventWriter
from yofo_mlx.models import Base, load_base, model_path
from yofo_mlx.plan import Planner, make_planner
from yofo_mlx.recipe import Memory, Recipe
from yofo_mlx.recipe_file import find_recipe, load_recipe
from yofo_mlx.runs import Run
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.train import train
from yofo_mlx.workload import Workload, make_workload


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
        return _train(run, recipe, loaded)


def resume(name: str, lock: int | None = None, *, force: bool = False) -> ExitCode:
    """Go on with a run from its newest checkpoint, or begin one that was only created.

    `lock` is the descriptor of the run's lock where whoever started this process holds it.
    """
    run = runs.find(name)
    with runs.locked(run, lock):
        if lock is None:  # a detached run may have been asked to stop already
            run.stop_path.unlink(missing_ok=True)
        try:
            recipe = load_recipe(run.recipe_path)
            force = force or bool(list_checkpoints(run))
            loaded = _load(recipe, force=force, limit_gb=run.info().get("limit_gb"))
        except YofoError as error:
            writer = EventWriter(run.events_path)
            writer.write("failed", step=0, message=error.message, hint=error.hint)
            raise
        return _train(run, recipe, loaded)


def load(recipe: Recipe) -> tuple[Base, Workload]:
    """Load a recipe's data, model and tokenizer; data first, since it fails sooner."""
    entries = load_tasks(recipe.tasks, recipe.seed, Path.cwd())
    return _load_model(recipe, entries)


def _load(recipe: Recipe, *, force: bool, limit_gb: float | None = None) -> Loaded:
    """Load what a run needs; refuse, before the weights are loaded, what cannot fit."""
    entries = load_tasks(recipe.tasks, recipe.seed, Path.cwd())
    planner = _planner(recipe, limit_gb)
    if planner and not force:
        planner.check(recipe)
    return Loaded(*_load_model(recipe, entries), planner)


def _planner(recipe: Recipe, limit_gb: float | None) -> Planner | None:
    path = model_path(recipe.model, recipe.revision)
    try:
        return make_planner(recipe, path, limit_gb)
    except RecipeError as error:
        if recipe.memory != Memory():
            raise
        print(f"warning: {error.message}; whole episodes at once", file=sys.stderr)
        return None


def _load_model(recipe: Recipe, entries: list[TaskEntry]) -> tuple[Base, Workload]:
    base = load_base(
        recipe.model, revision=recipe.revision, trust_remote_code=recipe.trust_remote_code
    )
    check_adapter(base.model, recipe.lora)
    return base, make_workload(recipe, entries, base.tokenizer)


def _train(run: Run, recipe: Recipe, loaded: Loaded) -> ExitCode:
    display = make_display()
    _record(run, recipe, loaded)
    try:
        with _stop_requests(run) as stop:
            last = train(
                run,
                recipe,
                loaded.base,
                loaded.workload,
                planner=loaded.planner,
                should_stop=stop.is_requested,
                on_event=display.show,
            )
    except KeyboardInterrupt:
        display.close()
        return _interrupted(run)
    finally:
        display.close()
    print(run.path)
    if last["kind"] == "stopped":
        return _interrupted(run)
    verb = "eval" if loaded.workload.held_out else "chat"
    print(f"next: yofo {verb} {run.run_id}", file=sys.stderr)
    return ExitCode.OK


def _record(run: Run, recipe: Recipe, loaded: Loaded) -> None:
    """Write run.json; a resumed run whose data changed is told, and keeps its first record."""
    data = {entry.task.name: entry.fingerprint for entry in loaded.workload.entries}
    if before := run.info().get("data"):
        changed = [name for name in data if before.get(name) != data[name]]
        if changed:
            message = f"the data of {len(changed)} tasks changed since the run began: {changed[0]}"
            hint = "the run goes on with what is there now"
            EventWriter(run.events_path).write("warning", message=message, hint=hint)
            print(f"warning: {message}\n  {hint}", file=sys.stderr)
        return
    base = loaded.base
    info = describe() | {
        "model": {"name": recipe.model, "path": str(base.path), "revision": base.revision},
        "seed": recipe.seed,
        # A resumed run takes its steps the same way.
        "limit_gb": loaded.planner.limit / 1e9 if loaded.planner else None,
        "data": data,
    }
    runs.save_info(run, info)


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
        print(
            "\nfinishing this step and saving; once more to leave it as soon as possible",
            file=sys.stderr,
        )


@contextmanager
def _stop_requests(run: Run) -> Iterator[StopRequest]:
    request = StopRequest(run)
    before = {s: signal.signal(s, request.handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
