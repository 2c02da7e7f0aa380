"""`yofo train`, `yofo resume`: run the loop in this process."""

import threading
from typing import TextIO

from yofo_mlx.commands.display import shown_on
from yofo_mlx.commands.long_run import agreed
from yofo_mlx.commands.watch import say_how_to_use
from yofo_mlx.errors import ExitCode
from yofo_mlx.planning.hours import long_hours
from yofo_mlx.planning.machine import is_smaller, smaller_machine
from yofo_mlx.planning.packing import settled
from yofo_mlx.planning.planner import describe_plan
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs import launch, listing, lock, notify
from yofo_mlx.runs.console import recorded
from yofo_mlx.runs.events import Event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import RunInfo
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.runs.supervisor import shrink
from yofo_mlx.runs.trained import Note, trained, undated
from yofo_mlx.system.awake import keep_awake
from yofo_mlx.system.progress import listening
from yofo_mlx.system.talk import print_path, say, say_next
from yofo_mlx.training import extension
from yofo_mlx.training.beginning import check_fits
from yofo_mlx.training.checkpoints import list_checkpoints
from yofo_mlx.training.following import announce, check_together
from yofo_mlx.training.loop import train
from yofo_mlx.training.provenance import changes, make_record
from yofo_mlx.training.ranks import join
from yofo_mlx.training.setup import Setup, load_planned
from yofo_mlx.training.stop import StopRequest, stop_requests
from yofo_mlx.training.telling import failures, loading
from yofo_mlx.training.threads import settle


def start(
    request: RecipeRequest, *, name: str | None = None, force: bool = False, yes: bool = False
) -> ExitCode:
    """Train a recipe in this process; everything is checked before a file is written.

    `force`: train also what the forecast says will not fit. `yes`: ask nothing.
    """
    recipe = request.load()
    check_fits(recipe)
    with stop_requests() as stop:
        try:
            with stop.at_once():
                ranks = join()
                announce(ranks, recipe, force=force)
                loaded = load_planned(recipe, force=force, named=request.data_name)
                loaded = check_together(ranks, recipe, loaded)
                hours = long_hours(recipe, loaded.planner, lambda: loaded.workload)
                if not agreed(hours, ask=not yes):
                    return ExitCode.FAILED
        except KeyboardInterrupt:
            say("interrupted before the run began; nothing was written")
            return ExitCode.FAILED
        run = launch.create_run(recipe, name or request.run_name)
        stop.of(run)
        with lock.locked(run.path), recorded(run, detached=False) as terminal:
            last = _train(run, recipe, loaded, [], stop, terminal)
    return _end(run, last)


def resume(name: str, held: int | None = None, *, force: bool = False) -> ExitCode:
    """Go on with a run from its newest checkpoint, or begin one that was only created.

    `held` is the descriptor of the run's lock where whoever started this process holds it.
    """
    run = listing.find(name)
    if extension.is_finished(run):
        return ExitCode.OK
    with lock.locked(run.path, held):
        if held is None:  # a detached run may have been asked to stop already
            run.stop_path.unlink(missing_ok=True)
        with failures(run):
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


def _load_again(run: Run, recipe: Recipe, stop: StopRequest, *, force: bool) -> Setup:
    """Load what a run needs; its events tell that it is at it, and what went wrong."""
    info = run.info()
    began = bool(list_checkpoints(run)) or info.largest_chunk is not None
    fits = began and not is_smaller(recipe, info)
    try:
        with loading(run), stop.at_once(), listening(_LeaveReading(stop)):
            ranks = join()
            announce(ranks, recipe, force=force or fits)
            loaded = load_planned(recipe, force=force, info=info, fits=fits)
            return check_together(ranks, recipe, loaded)
    except BaseException:
        notify.at_end(run)
        raise


class _LeaveReading:
    """Ends the reading of data, or a download, of a run that is asked to stop; a listener."""

    def __init__(self, stop: StopRequest) -> None:
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


def _train(
    run: Run,
    recipe: Recipe,
    loaded: Setup,
    notes: list[Note],
    stop: StopRequest,
    terminal: TextIO,
) -> Event:
    with failures(run):
        notes = notes + _record(run, recipe, loaded)
    keep_awake()
    try:
        with shown_on(terminal) as display:
            return train(
                run,
                recipe,
                loaded,
                should_stop=lambda: stop.is_requested() or loaded.ranks.others_ask,
                should_leave=stop.is_urgent,
                on_event=display.show,
                warnings=notes,
            )
    finally:
        notify.at_end(run)


def _end(run: Run, last: Event) -> ExitCode:
    print_path(run.path)
    notify.on_terminal(run)
    if last["kind"] == "stopped":
        return _interrupted(run)
    say_how_to_use(run)
    return ExitCode.OK


def _record(run: Run, recipe: Recipe, loaded: Setup) -> list[Note]:
    """Write run.json; a run that goes on keeps its first record, and is told what differs."""
    info, record = run.info(), make_record(recipe, loaded.base, loaded.workload)
    record["blas_threads"] = settle(info, loaded)
    if planner := loaded.planner:
        plan = describe_plan(planner, planner.longest_step(settled(recipe, loaded.base.config)[0]))
        more = {"largest_chunk": planner.largest_chunk} if planner.largest_chunk else {}
        info = run.note(plan=plan.as_dict(), limit_gb=planner.limit / 1e9, **more)
    if info.data is not None:
        dated = undated(run, loaded.base.tokenizer.chat_template)
        return [*dated, *changes(info, RunInfo(**record))]
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
