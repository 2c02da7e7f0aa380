"""A run that takes longer than a day is told before it begins, and asked about at a terminal."""

import sys
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
    say(f"this run takes longer than a day: {hours.words} ({hours.source})")
    if not ask or not (sys.stdin.isatty() and can_draw(sys.stderr)):
        return True
    sys.stderr.write("begin it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    say("nothing was begun; `yofo plan` shows what it needs, --yes begins it unasked")
    return False
