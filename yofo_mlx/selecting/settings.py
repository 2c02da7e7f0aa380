"""How rows are selected: by which score, and how many of each task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from yofo_mlx.errors import RecipeError
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.registry import TaskEntry

Way = Literal["davir", "delift", "random"]
WAYS: tuple[Way, ...] = get_args(Way)
SHARE = 0.3  # DELIFT's own (arXiv 2411.04425): 30 % of the rows are as good as all of them
PROBES = 32  # rows on which DELIFT tries each row


@dataclass(frozen=True)
class Ranked:
    """A task's rows from the best to the worst, and the score of each by its place in the task."""

    order: Sequence[int]
    scores: Sequence[float | None]
    """None of a row that could not be scored: it is too long to be read."""


class Ranker(Protocol):
    """A way to choose rows."""

    def rank(self, entry: TaskEntry) -> Ranked:
        """Rank a task's training rows."""
        ...


@dataclass(frozen=True)
class SelectSettings:
    """What is selected, and by what."""

    by: Way
    share: float | None = None
    rows: int | None = None
    run: str | None = None
    probes: int = PROBES

    def count(self, rows: int) -> int:
        """Return how many of a task's rows are kept; never none."""
        if self.rows is not None:
            return min(self.rows, rows)
        return min(rows, max(1, round((SHARE if self.share is None else self.share) * rows)))

    @property
    def scoring(self) -> dict[str, Any]:
        """Return what the scores depend on; more or fewer rows are chosen by the same ones."""
        return {
            "by": self.by,
            **({"run": self.run} if self.by == "davir" else {}),
            **({"probes": self.probes} if self.by == "delift" else {}),
        }


def read_settings(
    by: str, share: float | None, rows: int | None, run: str | None, probes: int
) -> SelectSettings:
    """Return the settings that options stand for, or raise RecipeError."""
    way = next((one for one in WAYS if one == by), None)
    if way is None:
        raise RecipeError(
            f"rows are not selected by '{shorten(by, 60)}'", f"--by {', '.join(WAYS)}"
        )
    if share is not None and rows is not None:
        raise RecipeError("--share and --rows both say how many rows are kept", "give one of them")
    if share is not None and not 0 < share <= 1:
        raise RecipeError(f"--share {share:g} is no share of the rows", "give one in (0, 1]: 0.3")
    if way == "davir" and run is None:
        raise RecipeError(
            "--by davir compares the base with a run that was trained on all rows",
            "train one first (`yofo train RECIPE`), then name it: --run last",
        )
    if way != "davir" and run is not None:
        raise RecipeError(f"--by {way} asks no run", "leave --run out, or select --by davir")
    return SelectSettings(way, share, rows, run, probes)
