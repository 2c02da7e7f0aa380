"""`--detach` and `--restarts`: runs that outlive this terminal; no model is loaded here."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yofo_mlx.commands import watch
from yofo_mlx.commands.display import event_line
from yofo_mlx.commands.long_run import agreed
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.planning.label_tasks import check_subsets
from yofo_mlx.planning.machine import find_planner
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.events import as_read
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system import launcher
from yofo_mlx.system.signals import answered
from yofo_mlx.system.talk import print_path, say, say_next
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.training import extension
from yofo_mlx.training.beginning import check_fits

if TYPE_CHECKING:
    from yofo_mlx.planning.planner import Planner


def start(
    request: RecipeRequest,
    *,
    name: str | None = None,
    force: bool = False,
    yes: bool = False,
    restarts: int = 0,
    attend: bool = False,
) -> ExitCode:
    """Check recipe and data, start the run in the background and print its folder.

    With `attend` stay and show it, until it ends or Ctrl-C stops it. `yes`: ask nothing.
    """
    recipe = request.load()
    planner = check(request, recipe, force=force) or find_planner(recipe)
    from yofo_mlx.planning.hours import long_hours  # MLX

    if not agreed(long_hours(recipe, planner), ask=not yes):
        return ExitCode.FAILED
    with answered(born):
        run = launch.start(recipe, name or request.run_name, force=force, restarts=restarts)
    print_path(run.path)
    return watch.attend(run) if attend else _left(run)


def check(
    request: RecipeRequest, recipe: Recipe, *, force: bool, whole: bool = False
) -> "Planner | None":
    """Refuse a recipe that cannot be trained: mistakes of the data are told here, not in a log.

    `whole`: it goes by what the machine has, since it waits for its turn.
    """
    check_fits(recipe)
    if planner := None if force else find_planner(recipe, whole=whole):
        planner.check(recipe)
    entries = load_tasks(recipe.tasks, recipe.seed, Path.cwd(), request.data_name)
    check_subsets(recipe, [entry for entry in entries if entry.role == "train"])
    return planner


def check_alone(*, detach: bool, restarts: int) -> None:
    """Refuse what `mlx.launch` has no place for: it ends what it started when one of it ends."""
    if launcher.count() == 1:
        return
    if restarts:  # tried: the ranks that were started again did not find each other
        raise RecipeError(
            "--restarts under mlx.launch: ranks that are started again do not meet again",
            "leave it out; a rank that is lost ends all, and `yofo resume` goes on",
        )
    if detach:
        raise RecipeError(
            "--detach under mlx.launch: it has to see the processes that it started",
            "leave out --detach and start mlx.launch itself in the background: nohup, tmux",
        )


def born(number: int, frame: object) -> None:
    """Let a run be born, or there would be half of one."""


def resume(name: str, *, force: bool = False, restarts: int = 0, attend: bool = False) -> ExitCode:
    """Go on with a run in the background."""
    run = listing.find(name)
    if extension.is_finished(run):
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


def move_model(name: str, place: str) -> None:
    """Have a run go by the place where its model is now."""
    from yofo_mlx.training import moved  # MLX

    run = listing.find(name)
    say(f"{run.run_id} has its model in {moved.move_model(run, place)}")


def extend(name: str, overrides: Sequence[str], *, told: bool = False) -> None:
    """Give a run another length; with `told` say so, where nobody shows its events."""
    change = extension.lengthen(listing.find(name), overrides)
    if told:
        say(event_line(as_read(extension.as_event(change))))
