"""The tables of a comparison as text that fits a width."""

import math
from collections.abc import Sequence

from textual.content import Content

from ...shared.blocks import bar
from ...shared.chart import Axes, Line
from ...shared.curve import smoothed
from ...shared.words import MUTED, lines, muted, number, percent, safe, status_mark
from .contender import Contender
from .results import ResultRow
from .scoreboard import Scoreboard, TaskScore
from .settings import SettingRow

GAP = 2
# None that means trouble, nor the grey of base models; the amber of most themes not before D.
COLOURS = ("$text-success", "$text-primary", "$foreground", "$text-accent", "$text-secondary")
LEAST_BAR = 6  # cells
NUMBER = 8  # cells of a letter and a score
BEST = " ◀ best"


def letter(place: int) -> str:
    """Return what a run is called in the tables."""
    return chr(ord("A") + place)


def colour(place: int) -> str:
    """Return a run's colour."""
    return COLOURS[place % len(COLOURS)]


def aligned(rows: Sequence[Sequence[Content]], width: int) -> list[Content]:
    """Return rows as lines, the columns below each other; the widest give way where room lacks."""
    if not rows:
        return []
    columns = list(zip(*rows, strict=True))
    widths = [max(cell.cell_length for cell in column) for column in columns]
    room = width - GAP * (len(widths) - 1)
    while sum(widths) > max(room, len(widths)):
        widest = widths.index(max(widths))
        widths[widest] -= 1
    gap = Content(" " * GAP)
    return [
        gap.join(
            cell.truncate(wide, ellipsis=True, pad=True)
            for cell, wide in zip(row, widths, strict=True)
        )
        for row in rows
    ]


def legend(contenders: Sequence[Contender], width: int) -> Content:
    """Return the runs with their letters and states."""
    rows = []
    for place, one in enumerate(contenders):
        mark, style = status_mark(one.status)
        share = f" {percent(one.share)}" if one.share not in (None, 1.0) else ""
        name = safe(one.run.run_id, 200)
        model = safe(str(one.recipe.get("model", "")).rpartition("/")[2], 60)
        head = Content.styled(letter(place), f"bold {colour(place)}")
        state = Content.styled(f"{mark}{share}", style)
        rows.append([head, name.stylize(colour(place)), state, model.stylize(MUTED)])
    return lines(aligned(rows, width))


def setting_table(rows: Sequence[SettingRow], count: int, width: int, *, every: bool) -> Content:
    """Return the keys that differ, with `every` also those that are the same."""
    shown = [row for row in rows if every or not row.is_same]
    same = sum(row.is_same for row in rows)
    table = lines(aligned([_heads("key", count), *map(_setting, shown)], width))
    if every or not same:
        return table
    more = f"and {same} keys that are the same: " if shown else f"all {same} keys are the same: "
    words = Content.assemble((more, MUTED), KEY)
    return lines([table, words]) if shown else words


KEY = Content.assemble(("=", "$text-accent"), (" shows them", MUTED))


def _heads(what: str, count: int) -> list[Content]:
    letters = (Content.styled(letter(place), f"bold {colour(place)}") for place in range(count))
    return [muted(what), *letters]


def _setting(row: SettingRow) -> list[Content]:
    style = MUTED if row.is_same else ""
    return [safe(row.key, 100), *(safe(value, 200).stylize(style) for value in row.values)]


def result_table(rows: Sequence[ResultRow], count: int, width: int) -> Content:
    """Return what came of the runs."""
    return lines(aligned([_heads("", count), *map(_result, rows)], width))


def _result(row: ResultRow) -> list[Content]:
    cells = [
        Content.assemble((value, "bold"), (BEST, "$text-success")) if place == row.best else value
        for place, value in enumerate(row.values)
    ]
    return [muted(row.what), *(Content(cell) if isinstance(cell, str) else cell for cell in cells)]


def task_table(board: Scoreboard, count: int, width: int) -> Content:
    """Return what each task scored at its most shots, a bar for each run."""
    if not board.tasks:
        said = "measured by an evaluation of all held-out tasks: the key e of Runs, or `yofo eval`"
        return muted(said)
    about = [_about(one) for one in board.tasks]
    taken = sum(max(row[place].cell_length for row in about) + GAP for place in range(3))
    wide = (width - taken + GAP) // count - GAP - NUMBER
    bars = wide if wide >= LEAST_BAR else 0
    scores = [_scores(one, bars) for one in board.tasks]
    return lines(aligned([[*a, *b] for a, b in zip(about, scores, strict=True)], width))


def _about(one: TaskScore) -> list[Content]:
    bases = "/".join(dict.fromkeys(f"{100 * base:.1f}" for base in one.bases))
    return [safe(one.task, 24), muted(f"{one.metric} @{one.shots}"), muted(f"base {bases}")]


def _scores(one: TaskScore, wide: int) -> list[Content]:
    finite = [score for score in one.adapters if math.isfinite(score)]
    best = max(finite, default=None) if len(set(finite)) > 1 else None
    cells = []
    for place, score in enumerate(one.adapters):
        drawn = bar(score if math.isfinite(score) else 0.0, wide) if wide else ""
        weight = "bold" if score == best else ""
        told = (f" {100 * score:5.1f} ", weight)
        cells.append(Content.assemble((letter(place), colour(place)), told, (drawn, colour(place))))
    return cells


def loss_lines(
    contenders: Sequence[Contender], axis: str, *, train: bool, log: bool
) -> tuple[list[Line], Axes]:
    """Return a curve of each run, with the value that it has come to."""
    drawn = []
    for place, one in enumerate(contenders):
        points = (one.losses if train else one.valid_losses)[axis]
        shown = smoothed(points) if train and len(points) > 12 else points
        value = f" {number(shown[-1][1])}" if shown else ""
        single = len(shown) == 1
        drawn.append(Line(letter(place) + value, shown, colour(place), marked=single))
    form = {"steps": number, "tokens": number, "hours": _hours}[axis]
    return drawn, Axes(number, x_format=form, is_log=log)


def _hours(x: float) -> str:
    return f"{x:.2g} h" if x >= 1 else f"{60 * x:.2g} min"


def shot_lines(board: Scoreboard) -> tuple[list[Line], Axes]:
    """Return scores by shots: of the runs, and of what they began from."""
    bases = list(dict.fromkeys(base for base in board.bases if base))
    every = [*board.curves, *bases]
    places = sorted({shots for curve in every for shots, _ in curve})
    at = {shots: float(place) for place, shots in enumerate(places)}
    named = [
        *((letter(place), curve, colour(place)) for place, curve in enumerate(board.curves)),
        *(("base", curve, MUTED) for curve in bases),
    ]
    drawn = []
    for name, curve, style in named:
        ends = f" {100 * curve[-1][1]:.1f}" if curve else ""
        points = tuple((at[shots], score) for shots, score in curve)
        is_base = style == MUTED
        drawn.append(Line(name + ends, points, style, marked=len(points) == 1, dashed=is_base))
    ticks = tuple((at[shots], str(shots)) for shots in places)
    return drawn, Axes(percent, y_range=(0.0, 1.0), ticks=ticks)
