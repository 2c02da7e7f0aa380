"""What came of compared runs, row by row: loss, accuracy, time, memory, with the best marked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yofo_mlx.runs.events import figure
from yofo_mlx.system.quantities import duration, plural, size

from ...shared.words import number
from .contender import Contender
from .scoreboard import Scoreboard

NONE = "–"


@dataclass(frozen=True)
class ResultRow:
    """One figure of every run, and which run has the best; None where none is better."""

    what: str
    values: tuple[str, ...]
    best: int | None = None


def result_rows(contenders: Sequence[Contender], board: Scoreboard) -> list[ResultRow]:
    """Return the table."""
    return [
        _row("validation loss", contenders, lambda one: one.ranks.valid, number, most=False),
        _row("last training loss", contenders, lambda one: figure(one.step, "loss"), number),
        *(_scores(board, shots) for shots in _some(board.shots)),
        _row("steps", contenders, lambda one: figure(one.step, "step"), _whole),
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


def _scores(board: Scoreboard, shots: int) -> ResultRow:
    """Return the score with so many demonstrations, and what it has over the base."""
    scores = [dict(curve).get(shots) for curve in board.curves]
    bases = [dict(curve).get(shots) for curve in board.bases] or [None] * len(scores)
    what = f"{board.metric or 'score'}, {plural(shots, 'shot')}"
    words = tuple(map(_points, scores, bases))
    return ResultRow(what, words, best_of(scores, most=True))


def _points(score: float | None, base: float | None) -> str:
    if score is None:
        return NONE
    gain = "" if base is None else f"  {100 * (score - base):+.1f}"
    return f"{100 * score:.1f}{gain}"


def _whole(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def _memory(peak_gb: float | None) -> str:
    return NONE if peak_gb is None else size(1e9 * peak_gb)


def best_run(contenders: Sequence[Contender], board: Scoreboard) -> int:
    """Return the place of the run with the best score at the most shots, else the lowest loss."""
    shots = board.shots[-1:]
    scores = [dict(curve).get(shots[0]) if shots else None for curve in board.curves]
    losses = [one.ranks.valid for one in contenders]
    found = best_of(scores, most=True)
    found = best_of(losses, most=False) if found is None else found
    return found or 0


def best_of(values: Sequence[float | None], *, most: bool) -> int | None:
    """Return the place of the best value, None where fewer than two differ."""
    known = {place: value for place, value in enumerate(values) if value is not None}
    if len(set(known.values())) < 2:
        return None
    return (max if most else min)(known, key=known.__getitem__)
