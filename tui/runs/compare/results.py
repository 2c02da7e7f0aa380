"""What came of compared runs, row by row: loss, accuracy, time, memory, with the best marked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yofo_mlx.runs.events import figure
from yofo_mlx.system.quantities import duration, size

from ...shared.words import number
from .contender import Contender
from .scoreboard import Points, Scoreboard

NONE = "–"


@dataclass(frozen=True)
class ResultRow:
    """One figure of every run, and which run has the best; None where none is better."""

    what: str
    values: tuple[str, ...]
    best: int | None = None


def result_rows(contenders: Sequence[Contender], board: Scoreboard) -> list[ResultRow]:
    """Return the table."""
    shots = _some(board.shots)
    at = " / ".join(map(str, shots))
    rows = [
        ResultRow("how far", tuple(map(_how_far, contenders))),
        _row("validation loss", contenders, lambda one: one.ranks.valid, number, most=False),
        _row("training loss, last step", contenders, lambda one: figure(one.step, "loss"), number),
    ]
    if shots:
        rows.append(_scores(f"{board.metric or 'score'} at {at} shots", board.curves, shots))
    if shots and board.bases:
        gains = [_gains(*pair) for pair in zip(board.curves, board.bases, strict=True)]
        rows.append(_scores("  against its base", gains, shots, sign="+"))
    return [
        *rows,
        ResultRow("trained for", tuple(duration(one.seconds) for one in contenders)),
        ResultRow("tokens", tuple(number(figure(one.step, "total_tokens")) for one in contenders)),
        _row("tokens/s", contenders, lambda one: figure(one.step, "tokens_per_s"), number),
        _row("peak memory", contenders, lambda one: one.ranks.peak_gb, _memory),
        ResultRow("disk", tuple(size(one.nbytes) for one in contenders)),
    ]


def _some(shots: list[int]) -> list[int]:
    """Return the fewest, the middle and the most."""
    places = {0, len(shots) // 2, len(shots) - 1} if shots else set()
    return [shots[place] for place in sorted(places)]


def _row(
    what: str,
    contenders: Sequence[Contender],
    value: Callable[[Contender], float | None],
    words: Callable[[float | None], str],
    *,
    most: bool | None = None,
) -> ResultRow:
    """Return a figure of each; `most`: whether the best has the most of it, None if neither."""
    found = [value(one) for one in contenders]
    best = None if most is None else best_of(found, most=most)
    return ResultRow(what, tuple(map(words, found)), best)


def _scores(
    what: str, curves: Sequence[Points], shots: Sequence[int], sign: str = ""
) -> ResultRow:
    tables = [dict(curve) for curve in curves]
    words = (
        " / ".join(_points(table.get(count), sign) for count in shots) if table else NONE
        for table in tables
    )
    best = best_of([table.get(shots[-1]) for table in tables], most=True)
    return ResultRow(what, tuple(words), best)


def _points(score: float | None, sign: str) -> str:
    return NONE if score is None else f"{100 * score:{sign}.1f}"


def _gains(adapter: Points, base: Points) -> Points:
    without = dict(base)
    return tuple((shots, score - without[shots]) for shots, score in adapter if shots in without)


def _how_far(one: Contender) -> str:
    step = figure(one.step, "step")
    words = f"{one.status}, step {step:,.0f}" if step is not None else one.status
    return words if one.share in (None, 1.0) else f"{words} ({100 * (one.share or 0):.0f} %)"


def _memory(peak_gb: float | None) -> str:
    return NONE if peak_gb is None else size(1e9 * peak_gb)


def best_of(values: Sequence[float | None], *, most: bool) -> int | None:
    """Return the place of the best value, None where fewer than two differ."""
    known = {place: value for place, value in enumerate(values) if value is not None}
    if len(set(known.values())) < 2:
        return None
    return (max if most else min)(known, key=known.__getitem__)
