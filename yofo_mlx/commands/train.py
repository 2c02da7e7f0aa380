"""`yofo train`, `yofo resume`: run the loop in this process."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from yofo_mlx.commands.background import (
    find_planner,
    is_finished,
    is_smaller,
    smaller_machine,
)
from yofo_mlx.commands.display import LEAVING, STOPPING, shown_on
from yofo_mlx.commands.watch import say_how_to_use
from yofo_mlx.episodes.bounds import check_tables
from yofo_mlx.errors import ExitCode
from yofo_mlx.models.adapters import check_adapter
from yofo_mlx.models.base import Base, load_base
from yofo_mlx.planning.planner import Planner, describe_plan
from yofo_mlx.planning.workload import Workload, make_workload
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs import launch, listing, lock
from yofo_mlx.runs.console import recorded
from yofo_mlx.runs.events import Event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import RunInfo
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.runs.supervisor import shrink
from yofo_mlx.runs.trained import Note, trained, undated
from yofo_mlx.system.awake import keep_awake
from yofo_mlx.system.progress import listening
from yofo_mlx.system.signals import answered
from yofo_mlx.system.talk import print_path, say, say_next, say_now
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.training.beginning import check_fits
from yofo_mlx.training.checkpoints import list_checkpoints
from yofo_mlx.training.loop import train
from yofo_mlx.training.provenance import differences, make_record
from yofo_mlx.training.telling import loading


@dataclass(frozen=True)
class Setup:
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
    check_fits(recipe)
    with stop_requests() as stop:
        try:
            with stop.at_once():
                loaded = _load(recipe, force=force, named=recipe_name)
        except KeyboardInterrupt:
            say("interrupted before the run began; nothing was written")
            return ExitCode.FAILED
        run = launch.create_run(recipe, name or path.stem)
        stop.of(run)
        with lock.locked(run.path), recorded(run, detached=False) as terminal:
            last = _train(run, recipe, loaded, [], stop, terminal)
    return _end(run, last)


def resume(name: str, held: int | None = None, *, force: bool = False) -> ExitCode:
    """Go on with a run from its newest checkpoint, or begin one that was only created.

    `held` is the descriptor of the run's lock where whoever started this process holds it.
    """
    run = listing.find(name)
    if is_finished(run):
        return ExitCode.OK
    with lock.locked(run.path, held):
        if held is None:  # a detached run may have been asked to stop already
            run.stop_path.unlink(missing_ok=True)
        recipe, notes = _recipe_of(run)  # before the console has new words
        detached = held is not None
        with recorded(run, detached=detached) as terminal, stop_requests() as stop:
            stop.of(run)
            try:
                loaded = _load_again(run, recipe, stop, force=force)
            except KeyboardInterrupt:
                return _interrupted(run)
            last = _train(run, recipe, loaded, notes, stop, terminal)
    return _end(run, last)


def _load_again(run: Run, recipe: Recipe, stop: "StopRequest", *, force: bool) -> Setup:
    """Load what a run needs; its events tell that it is at it, and what went wrong."""
    info = run.info()
    began = bool(list_checkpoints(run)) or info.largest_chunk is not None
    fitted = began and not is_smaller(recipe, info)
    with loading(run), stop.at_once(), listening(_LeaveReading(stop)):
        return _load(recipe, force=force or fitted, info=info)


class _LeaveReading:
    """Ends the reading of data, or a download, of a run that is asked to stop; a listener."""

    def __init__(self, stop: "StopRequest") -> None:
        self._stop = stop

    def tell(self, what: str, done: int, total: int) -> None:
        is_ours = threading.current_thread() is threading.main_thread()
        if is_ours and self._stop.is_requested():
            raise KeyboardInterrupt

    def end(self) -> None:
        """Do nothing: the run goes on."""


def _recipe_of(run: Run) -> tuple[Recipe, list[Note]]:
    """Return the recipe that a run began with, and what the user should know of its going on."""
    recipe, notes = trained(run)
    warnings = [shrink(run), smaller_machine(recipe, run.info())]
    return recipe, [*notes, *filter(None, warnings)]


def load(recipe: Recipe) -> tuple[Base, Workload]:
    """Load a recipe's data, model and tokenizer; data first, since it fails sooner."""
    return _load_model(recipe, _entries(recipe))


def _load(
    recipe: Recipe, *, force: bool, info: RunInfo | None = None, named: str = "RECIPE.toml"
) -> Setup:
    """Load what a run needs; refuse, before the weights are loaded, what cannot fit.

    `info`: what run.json says of a run that goes on, which takes its steps as before. `named`: the
    recipe's file, for messages.
    """
    entries = _entries(recipe, named)
    planner = find_planner(recipe, info)
    if planner and not force:
        planner.check(recipe)
    return Setup(*_load_model(recipe, entries), planner)


def _entries(recipe: Recipe, named: str = "RECIPE.toml") -> list[TaskEntry]:
    """Read a recipe's data; what is no absolute path in it is an id, whatever lies here."""
    return load_tasks(recipe.tasks, recipe.seed, Path(os.devnull), named)


def _load_model(recipe: Recipe, entries: list[TaskEntry]) -> tuple[Base, Workload]:
    base = load_base(
        recipe.model, revision=recipe.revision, trust_remote_code=recipe.trust_remote_code
    )
    check_adapter(base.model, recipe.lora)
    check_tables(recipe, base.tokenizer, base.config)
    return base, make_workload(recipe, entries, base.tokenizer)


def _train(
    run: Run,
    recipe: Recipe,
    loaded: Setup,
    notes: list[Note],
    stop: "StopRequest",
    terminal: TextIO,
) -> Event:
    notes = notes + _record(run, recipe, loaded)
    keep_awake()
    with shown_on(terminal) as display:
        return train(
            run,
            recipe,
            loaded.base,
            loaded.workload,
            planner=loaded.planner,
            should_stop=stop.is_requested,
            should_leave=stop.is_urgent,
            on_event=display.show,
            warnings=notes,
        )


def _end(run: Run, last: Event) -> ExitCode:
    print_path(run.path)
    if last["kind"] == "stopped":
        return _interrupted(run)
    say_how_to_use(run)
    return ExitCode.OK


def _record(run: Run, recipe: Recipe, loaded: Setup) -> list[Note]:
    """Write run.json; a run that goes on keeps its first record, and is told what differs."""
    info, record = run.info(), make_record(recipe, loaded.base, loaded.workload)
    if planner := loaded.planner:
        plan = describe_plan(planner, planner.longest_step(recipe))
        info = run.note(plan=plan.as_dict(), limit_gb=planner.limit / 1e9)
    if info.data is not None:
        dated = undated(run, loaded.base.tokenizer.chat_template)
        return [*dated, *differences(info, RunInfo(**record))]
    began = {} if info.recipe else {"recipe": recipe.model_dump(mode="json")}
    run.note(**record, **began)
    return []


def _interrupted(run: Run) -> ExitCode:
    saved = list_checkpoints(run)
    if saved:
        say_next(f"resume {listing.word(run)}")
    else:
        say("nothing was saved yet")
    return ExitCode.INTERRUPTED if saved else ExitCode.FAILED


class StopRequest:
    """Ctrl-C, SIGTERM or the run's `stop` file: finish the step, save, exit.

    Twice, or with `now` in that file: leave the step.

    While a model is loaded there is nothing to save: then a signal ends that at once.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._signals = 0
        self._at_once = False

    def of(self, run: Run) -> None:
        """Look at the `stop` file of a run as well."""
        self._run = run

    def is_requested(self) -> bool:
        """Tell whether anybody asked."""
        return self._signals > 0 or (self._run is not None and self._run.stop_path.exists())

    def is_urgent(self) -> bool:
        """Tell whether somebody asked twice, or for the end at once."""
        return self._signals > 1 or (self._run is not None and self._run.must_leave())

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal interrupt what is done meanwhile."""
        self._at_once = True
        try:
            if self._signals or self.is_urgent():
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def handle(self, number: int, frame: object) -> None:
        """Take a signal."""
        if self._at_once:
            raise KeyboardInterrupt
        self._signals += 1
        if self._signals == 1:
            say_now(LEAVING if self.is_urgent() else STOPPING)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take the signals that ask a run to stop."""
    request = StopRequest()
    with answered(request.handle):
        yield request
