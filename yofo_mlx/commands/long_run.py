"""What takes longer than a day is told before it begins, a run asked about at a terminal."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from yofo_mlx.system.talk import can_draw, say

if TYPE_CHECKING:
    from yofo_mlx.planning.hours import Hours


def agreed(hours: "Hours | None", *, ask: bool) -> bool:
    """Tell how long a long run takes; False where somebody at a terminal does not want it.

    `hours`: of a run that takes longer than a day, else None.
    """
    if hours is None:
        return True
    tell(hours, "this run takes")
    if not ask or not (sys.stdin.isatty() and can_draw(sys.stderr)):
        return True
    sys.stderr.write("begin it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    say("nothing was begun; `yofo plan` shows what it needs, --yes begins it unasked")
    return False


def tell(hours: "Hours", what: str) -> None:
    """Say how long something takes that takes longer than a day."""
    say(f"{what} longer than a day: {hours.words} ({hours.source})")


def tell_of_several(found: Sequence["Hours | None"]) -> None:
    """Say how many of several runs take so long; `found`: of each as for `agreed`."""
    if not (long := [hours for hours in found if hours]):
        return
    longest = max(long, key=lambda hours: hours.total)
    several = f"{len(long)} of {len(found)} runs take, each,"
    tell(longest, "this run takes" if len(found) == 1 else several)
