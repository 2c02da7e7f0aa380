"""Points of a curve in bounded memory."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

Point = tuple[float, float]
SMOOTHED = 1 / 24  # of a curve's length, on either side of a point


@dataclass
class Bucket:
    """All points in one stretch of the x axis."""

    place: float  # the stretch's number
    count: int
    x_sum: float
    y_sum: float

    def take(self, other: "Bucket") -> None:
        """Add another bucket's points."""
        self.count += other.count
        self.x_sum += other.x_sum
        self.y_sum += other.y_sum


@dataclass
class Curve:
    """Points with rising x: the means of stretches of one width, doubled when there are too many.

    Every stretch weighs the same however long the run is, so the shape is that of all its steps.
    """

    most: int = 1024
    _width: float = 1.0
    _last: float = 0.0
    _buckets: list[Bucket] = field(default_factory=list)

    def add(self, x: float, y: float) -> None:
        """Add a point; a curve that goes back (a resumed run) forgets what it overwrites."""
        place = x // self._width
        if self._buckets and x <= self._last:
            while self._buckets and self._buckets[-1].place >= place:
                self._buckets.pop()
        self._last = x
        self._put(Bucket(place, 1, x, y))
        while len(self._buckets) > self.most:
            self._widen()

    def _put(self, new: Bucket) -> None:
        if self._buckets and self._buckets[-1].place == new.place:
            self._buckets[-1].take(new)
        else:
            self._buckets.append(new)

    def _widen(self) -> None:
        """Join stretches two and two."""
        self._width *= 2
        before, self._buckets = self._buckets, []
        for bucket in before:
            bucket.place //= 2
            self._put(bucket)

    def points(self) -> tuple[Point, ...]:
        """Return the points, oldest first."""
        return tuple((one.x_sum / one.count, one.y_sum / one.count) for one in self._buckets)


def smoothed(points: tuple[Point, ...], share: float = SMOOTHED) -> tuple[Point, ...]:
    """Return the mean around each point, as far on either side in x; at the start less and less.

    `share`: of the curve's length, on either side of a point.
    """
    if not points:
        return ()
    xs = [x for x, _ in points]
    sums = [0.0, *accumulate(y for _, y in points)]
    half = (xs[-1] - xs[0]) * share
    result = []
    for x in xs:
        reach = min(half, x - xs[0])  # one side alone would draw a falling start too low
        start, end = bisect_left(xs, x - reach), bisect_right(xs, x + reach)
        result.append((x, (sums[end] - sums[start]) / (end - start)))
    return tuple(result)
