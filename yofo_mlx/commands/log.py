"""`yofo log`: the figures of a run in the tracker that one has."""

from pathlib import Path

from yofo_mlx.commands.watch import follow
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.runs import listing
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import say
from yofo_mlx.trackers.choosing import choose
from yofo_mlx.trackers.feeding import feed


def log(name: str, to: str, out: str | None, *, live: bool) -> ExitCode:
    """Write what a run told so far, with `live` also what it tells until it ends."""
    run = listing.find(name)
    place = Path(out) if out else None
    tracker = choose(to, place)
    if not run.events_path.exists():
        raise RecipeError(f"run {run.run_id} has no events yet", "it has some once it trains")
    count, where = feed(run, follow(run) if live else run.events(), tracker, place)
    say(f"{plural(count, 'event')} of {run.run_id}" + (f" in {where}" if where else ""))
    return ExitCode.OK
