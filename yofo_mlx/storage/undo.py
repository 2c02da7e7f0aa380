"""What was let go, brought back: runs and everything else, from the trash of each."""

from pathlib import Path

from yofo_mlx.runs import trash
from yofo_mlx.runs.trash import Removed
from yofo_mlx.storage import bin
from yofo_mlx.storage.bin import Thrown


def all_thrown() -> list[Thrown | Removed]:
    """Return all that can be brought back, what was let go last first."""
    found: list[Thrown | Removed] = [*bin.thrown(), *trash.removed_runs()]
    return sorted(found, key=lambda one: one.when, reverse=True)


def newest_thrown() -> Thrown | Removed | None:
    """Return what was let go last and has a place to return to; if nothing has, simply the last."""
    found = all_thrown()
    returning = (one for one in found if isinstance(one, Removed) or one.has_place)
    return next(returning, next(iter(found), None))


def put_back(one: Thrown | Removed) -> Path:
    """Bring something back, and return where it is."""
    return bin.bring_back(one) if isinstance(one, Thrown) else trash.restore(one).path
