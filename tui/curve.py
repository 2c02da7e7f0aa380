"""Points of a curve in bounded memory."""

from dataclasses import dataclass, field
from itertools import accumulate

Point = tuple[float, float]


@dataclass
class Curve:
    """Points with rising x; when they grow too many, neighbours are merged into their mean."""

    most: int = 1024
    _points: list[Point] = field(default_factory=list)

    def add(self, x: float, y: float) -> None:
        """Append a point; a curve that goes back (a resumed run) forgets what it overwrites."""
        while self._points and self._points[-1][0] >= x:
            self._points.pop()
        self._points.append((x, y))
        if len(self._points) > self.most:
            self._points = [
                (right[0], (left[1] + right[1]) / 2)
                for left, right in zip(self._points[::2], self._points[1::2], strict=False)
            ] + self._points[len(self._points) // 2 * 2 :]

    def points(self) -> tuple[Point, ...]:
        """Return the points, oldest first."""
        return tuple(self._points)


def smoothed(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return the mean of each point and its neighbours, more of them the more points there are."""
    half = max(1, len(points) // 12)
    sums = [0.0, *accumulate(y for _, y in points)]
    result = []
    for i, (x, _) in enumerate(points):
        start, end = max(0, i - half), min(len(points), i + half + 1)
        result.append((x, (sums[end] - sums[start]) / (end - start)))
    return tuple(result)
