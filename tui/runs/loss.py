"""The loss of a run by step: smoothed, on a log scale, a stretch of it, a cursor with values."""

from bisect import bisect_left
from typing import Final

from ..shared.chart import MARK, Axes, Chart, Line
from ..shared.curve import Point, smoothed
from ..shared.words import MUTED, number
from .view import RunView

REACHES: Final = (0.0, 1 / 192, 1 / 96, 1 / 48, 1 / 24, 1 / 12, 1 / 6)  # of the mean, either side
STRETCHES: Final = (1.0, 1 / 2, 1 / 4, 1 / 10)  # of the steps that are done
FEW: Final = 12  # points, which are drawn as they are


class LossChart(Chart):
    """Every step as a dot, their mean as a line, validations as marks."""

    HELP = (
        "Dots are single steps, in a long run the means of equally many; the line is the mean of "
        "as many steps around each, diamonds are validations. + and - smooth more or less, l makes "
        "the scale logarithmic, z shows a shorter stretch of the end, or around the cursor, which "
        "the arrows left and right move."
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("loss", id=id)
        self._view: RunView | None = None
        self._reach, self._stretch = REACHES.index(1 / 24), 0
        self._is_log = False
        self._cursor: int | None = None  # place among the points

    def follow(self, view: RunView) -> None:
        """Draw a run."""
        if self._view is None or view.run != self._view.run:
            self._cursor, self._stretch = None, 0
        self._view = view
        self._draw()

    def smooth(self, by: int) -> None:
        """Take the mean of more steps, or of fewer."""
        self._reach = min(max(self._reach + by, 0), len(REACHES) - 1)
        self._draw()

    def change_scale(self) -> None:
        """Change between a linear and a logarithmic scale."""
        self._is_log = not self._is_log
        self._draw()

    def zoom(self) -> None:
        """Show a shorter stretch, after the shortest one all."""
        self._stretch = (self._stretch + 1) % len(STRETCHES)
        self._draw()

    def move_cursor(self, by: int) -> None:
        """Move the cursor by so many columns; the first time it appears at the end."""
        points = self._view.losses if self._view else ()
        if not points:
            return
        last = len(points) - 1
        per_column = max(1, round(len(points) * STRETCHES[self._stretch] / max(1, self.size.width)))
        at = last if self._cursor is None else min(self._cursor, last) + by * per_column
        self._cursor = min(max(at, 0), last)
        self._draw()

    def _draw(self) -> None:
        view = self._view
        if view is None:
            return
        means, reach = view.losses, REACHES[self._reach]
        is_smooth = len(view.losses) > FEW and reach > 0
        name = "train"
        if is_smooth:
            means = smoothed(view.losses, reach)
            name = f"mean {max(2, round(2 * reach * (means[-1][0] - means[0][0])))}"
        left, right = self._range(view)
        drawn = [
            Line("step", _within(view.losses, left, right), MUTED, joined=False),
            Line(name, _within(means, left, right), "$text-success"),
            Line(
                "valid",
                _within(view.valid_losses, left, right),
                "$foreground",
                joined=False,
                marked=True,
            ),
        ]
        x = None
        self.heading = "loss, log" if self._is_log else "loss"
        if self._cursor is not None and view.losses:
            x = view.losses[min(self._cursor, len(view.losses) - 1)][0]
            self.heading = self._values(view, means, x)
            drawn = [Line("", line.points, line.style, line.joined, line.marked) for line in drawn]
        axes = Axes(number, x_format=_step, x_range=(left, right), is_log=self._is_log, cursor=x)
        self.show(drawn if is_smooth else drawn[1:], axes, "no step yet")
        self.refresh()

    def _range(self, view: RunView) -> tuple[float, float]:
        """Return the first and the last step that are shown: all that are planned, or a stretch."""
        if not view.losses:
            return 0.0, 1.0
        first = view.losses[0][0]
        last = max(x for x, _ in (view.losses[-1], *view.valid_losses[-1:]))
        if self._stretch == 0:
            end = max(last, float(view.planned_steps or 0), first + 1)
            return 0.0 if first <= end / 20 else first, end
        length = (last - first) * STRETCHES[self._stretch]
        end = last
        if self._cursor is not None:
            at = view.losses[min(self._cursor, len(view.losses) - 1)][0]
            end = min(max(at + length / 2, first + length), last)
        return end - length, max(end, end - length + 1)

    def _values(self, view: RunView, means: tuple[Point, ...], x: float) -> str:
        """Say what the curves are at the cursor."""
        said = [f"step {x:.0f}", number(_at(view.losses, x))]
        if means is not view.losses:
            said.append(f"mean {number(_at(means, x))}")
        if view.valid_losses:
            nearest = min(view.valid_losses, key=lambda point: abs(point[0] - x))
            said.append(f"{MARK} {number(nearest[1])} at {nearest[0]:.0f}")
        return " · ".join(said)


def _within(points: tuple[Point, ...], left: float, right: float) -> tuple[Point, ...]:
    """Return the points of a stretch."""
    return tuple(point for point in points if left <= point[0] <= right)


def _at(points: tuple[Point, ...], x: float) -> float | None:
    at = bisect_left(points, (x, float("-inf")))
    return points[min(at, len(points) - 1)][1] if points else None


def _step(x: float) -> str:
    return f"{x:,.0f}" if x < 10_000 else number(x)
