"""Charts as an SVG file that needs nothing else."""

import html
from collections.abc import Iterator, Sequence

from ...shared.chart import Axes, Line

WIDTH, HEIGHT, GAP = 480, 300, 40  # of one chart, in pixels
LEFT, TOP = 48, 40  # of the plot in it
INK, GRID, BASE = "#1c1e21", "#d9dce1", "#8a8f98"
# Okabe and Ito's, which the colour-blind tell apart.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")

Drawn = tuple[str, Sequence[Line], Axes]


def picture(charts: Sequence[Drawn]) -> str:
    """Return charts beside each other."""
    whole = len(charts) * (WIDTH + GAP)
    parts = [
        f'<g transform="translate({at * (WIDTH + GAP)},0)">{"".join(_chart(*chart))}</g>'
        for at, chart in enumerate(charts)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{HEIGHT + 10}"'
        f' font-family="sans-serif" font-size="11" fill="{INK}">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _chart(heading: str, lines: Sequence[Line], axes: Axes) -> Iterator[str]:
    yield _text(LEFT, 14, heading, weight="bold")
    points = [point for line in lines for point in line.points]
    if not points:
        yield _text(LEFT, 60, "nothing was measured yet")
        return
    xs, ys = [x for x, _ in points], axes.y_range or [y for _, y in points]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (_share(x, left, right), _share(y, low, high))
        return LEFT + across * (WIDTH - LEFT), HEIGHT - 24 - up * (HEIGHT - 24 - TOP)

    for quarter in range(5):
        value = low + (high - low) * quarter / 4
        _, y = place(left, value)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH}" stroke="{GRID}"/>'
        yield _text(LEFT - 6, y + 4, axes.y_format(value), anchor="end")
    for x, words in axes.ticks or [(end, axes.x_format(end)) for end in (left, right)]:
        yield _text(place(x, low)[0], HEIGHT - 8, words, anchor="end" if x == right else "middle")
    at = float(LEFT)
    for number, line in enumerate(line for line in lines if line.points):
        is_base = line.dashed
        stroke = BASE if is_base else COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
        dashes = ' stroke-dasharray="5 4"' if is_base else ""
        yield f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="2"{dashes}/>'
        yield _text(at, 30, line.name, fill=stroke, weight="bold")
        at += 16 + 6.5 * len(line.name)


def _share(value: float, first: float, last: float) -> float:
    return (value - first) / (last - first) if last > first else 0.5


def _text(
    x: float, y: float, words: str, *, fill: str = INK, anchor: str = "start", weight: str = ""
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}"{bold}>'
        f"{html.escape(words)}</text>"
    )
