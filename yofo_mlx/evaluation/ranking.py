"""By what runs are ranked: validation, accuracy at the most shots, gain over the base, and cost."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from yofo_mlx.evaluation import archive
from yofo_mlx.runs.events import Event, backwards, figure
from yofo_mlx.runs.folder import GOING_ON, Run, Status


@dataclass(frozen=True)
class Ranks:
    """What ranks a run; None where it is not known."""

    valid: float | None  # loss of the best validation, nats
    prequential: float | None  # its mean over all numbers of shots up to the most, nats
    prequential_shots: int | None
    accuracy: float | None  # of the best validation at its most shots, 0 to 1
    accuracy_shots: int | None
    gain: float | None  # adapter less base at the most shots of the latest evaluation, -1 to 1
    gain_shots: int | None
    seconds_left: float | None  # of a run that goes on
    peak_gb: float | None  # of its last step


def newest(run: Run) -> tuple[Event | None, Event | None]:
    """Return the last step of a run, and the validation that was the best."""
    step = best = None
    for event in backwards(run.events_path, ("step", "eval")):
        if event["kind"] == "step":
            step = step or event
        elif event.get("best") is True:
            best = best or event
        if step and best:
            break
    return step, best


def ranks(
    status: Status, step: Event | None, best: Event | None, evaluation: dict[str, Any]
) -> Ranks:
    """Return what ranks a run: of its newest events, and of its latest full evaluation."""
    accuracy, accuracy_shots = _accuracy(best)
    gain, gain_shots = _gain(evaluation)
    rows = [row for row in archive.objects((best or {}).get("by_shots")) if _is_whole(row)]
    curve = {int(figure(row, "shots") or 0): figure(row, "loss") for row in rows}
    by_shots = sorted((shots, loss) for shots, loss in curve.items() if loss is not None)
    return Ranks(
        valid=figure(best, "loss"),
        prequential=prequential(by_shots),
        prequential_shots=by_shots[-1][0] if by_shots else None,
        accuracy=accuracy,
        accuracy_shots=accuracy_shots,
        gain=gain,
        gain_shots=gain_shots,
        seconds_left=figure(step, "seconds_left") if status in GOING_ON else None,
        peak_gb=figure(step, "peak_gb"),
    )


def prequential(curve: Sequence[tuple[int, float]]) -> float | None:
    """Return the mean loss of answers 0 to n of an episode, n the most shots of a curve; nats.

    Between numbers of shots that were measured it is taken to fall in a straight line: what an
    answer costs that is foretold behind all before it (arXiv 2512.19879).
    """
    if not curve:
        return None
    shots, losses = zip(*curve, strict=True)
    every = range(shots[0], shots[-1] + 1)
    return fmean(_between(shots, losses, one) for one in every)


def _between(shots: Sequence[int], losses: Sequence[float], one: int) -> float:
    after = bisect_left(shots, one)
    if shots[after] == one:
        return losses[after]
    share = (one - shots[after - 1]) / (shots[after] - shots[after - 1])
    return losses[after - 1] + share * (losses[after] - losses[after - 1])


def _accuracy(best: Event | None) -> tuple[float | None, int | None]:
    """Return the accuracy at the most shots, of the metric that most tasks have."""
    rows = [row for row in archive.objects((best or {}).get("by_shots")) if _is_whole(row)]
    if not rows:
        return None, None
    found = max(rows, key=lambda row: (figure(row, "of") or 0.0, figure(row, "shots") or 0.0))
    return figure(found, "accuracy"), int(figure(found, "shots") or 0)


def _is_whole(row: dict[str, Any]) -> bool:
    """Tell whether all tasks of a metric were measured at a number of shots."""
    return figure(row, "accuracy") is not None and figure(row, "tasks") == figure(row, "of")


def _gain(evaluation: dict[str, Any]) -> tuple[float | None, int | None]:
    for metric in archive.objects(evaluation.get("metrics")):
        base = dict(archive.points(metric.get("by_shots"), "base"))
        adapter = dict(archive.points(metric.get("by_shots"), "adapter"))
        if both := base.keys() & adapter.keys():
            most = max(both)
            return adapter[most] - base[most], int(most)
    return None, None
