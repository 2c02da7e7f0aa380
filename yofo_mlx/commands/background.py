"""`--detach` and `--restarts`: runs that outlive this terminal; no model is loaded here."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yofo_mlx.commands import watch
from yofo_mlx.commands.display import describe
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.recipe.schema import Memory, Recipe
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.events import as_read, backwards, figure, last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import RunInfo
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.runs.trained import Note
from yofo_mlx.system.signals import answered
from yofo_mlx.system.talk import print_path, say, say_next
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.training import extension
from yofo_mlx.training.beginning import check_fits

if TYPE_CHECKING:
    from yofo_mlx.planning.planner import Planner


def start(
    recipe_name: str,
    overrides: Sequence[str],
    *,
    name: str | None = None,
    force: bool = False,
    restarts: int = 0,
    attend: bool = False,
) -> ExitCode:
    """Check recipe and data, start the run in the background and print its folder.

    With `attend` stay and show it, until it ends or Ctrl-C stops it.
    """
    path = find_recipe(recipe_name)
    recipe = load_recipe(path, overrides)
    check_fits(recipe)
    if not force and (planner := find_planner(recipe)):
        planner.check(recipe)
    load_tasks(recipe.tasks, recipe.seed, Path.cwd())  # its mistakes are told here, not in a log
    with answered(_wait):
        run = launch.start(recipe, name or path.stem, force=force, restarts=restarts)
    print_path(run.path)
    return watch.attend(run) if attend else _left(run)


def _wait(number: int, frame: object) -> None:
    """Let a run be born, or there would be half of one."""


def resume(name: str, *, force: bool = False, restarts: int = 0, attend: bool = False) -> ExitCode:
    """Go on with a run in the background."""
    run = listing.find(name)
    if is_finished(run):
        return ExitCode.OK
    launch.detach(run, force=force, restarts=restarts)
    print_path(run.path)
    return watch.attend(run) if attend else _left(run)


def _left(run: Run) -> ExitCode:
    say_next(f"watch {listing.word(run)}")
    return ExitCode.OK


def supervise(name: str, lock: int, restarts: int, *, force: bool = False) -> int:
    """Train in a child process, started again when it dies."""
    from yofo_mlx.runs import supervisor

    return supervisor.supervise(listing.find(name), lock, restarts, force=force)


def lengthen(name: str, overrides: Sequence[str], *, told: bool = False) -> None:
    """Give a run another length; with `told` say so, where nobody shows its events."""
    change = extension.lengthen(listing.find(name), overrides)
    if told:
        say(describe(as_read(extension.as_event(change))))


def is_finished(run: Run) -> bool:
    """Tell whether nothing is left to do, and say so, with the way to do more."""
    last, extended = last_event(run.events_path), run.info().extended
    if last is None or last["kind"] != "finished":
        return False
    step = int(figure(last, "step") or 0)
    if extended and step <= extended[-1].step:
        return False
    early = (figure(next(backwards(run.events_path, ("step",)), None), "share") or 1.0) < 1.0
    why = ": its validations got no better" if early else ""
    say(f"{run.run_id} is finished, after {step} steps{why}")
    print_path(run.path)
    say_next(extension.more(run, at_end=not early).removeprefix("yofo "))
    return True


def find_planner(recipe: Recipe, info: RunInfo | None = None) -> "Planner | None":
    """Return the planner of a recipe, None where the model's sizes cannot be read.

    `info`: what run.json says of a run that goes on, which takes its steps as before; on a smaller
    machine, as that can.
    """
    from yofo_mlx.models.base import model_path
    from yofo_mlx.planning.planner import make_planner

    info = info or RunInfo()
    model_path(recipe.model, recipe.revision, weights=False)  # is there one at all?
    limit_gb = None if is_smaller(recipe, info) else info.limit_gb
    try:
        return make_planner(recipe, limit_gb=limit_gb, largest_chunk=info.largest_chunk)
    except RecipeError as error:
        if recipe.memory != Memory():
            raise
        say(f"warning: {error.message}; whole episodes at once")
        return None


def is_smaller(recipe: Recipe, info: RunInfo) -> bool:
    """Tell whether this machine has less memory than the run was planned for."""
    from yofo_mlx.system.memory import memory_limit

    limit = memory_limit(recipe.memory.limit_gb)
    return info.limit_gb is not None and limit.nbytes < int(info.limit_gb * 1e9)


def smaller_machine(recipe: Recipe, info: RunInfo) -> Note | None:
    """Return a warning of a run that is taken to a machine with less memory."""
    if not is_smaller(recipe, info):
        return None
    message = f"the run was planned for {info.limit_gb:.1f} GB of memory, this machine has less"
    return message, "its steps may be taken in smaller pieces: the same but for rounding"
