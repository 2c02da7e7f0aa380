"""Whether a run has learnt the opposite of something, though nothing has failed."""

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from statistics import median
from typing import Final

from yofo_mlx.runs.events import Event, backwards, figure
from yofo_mlx.runs.folder import Run

BEGUN: Final = 15  # steps before which a run that goes on tells nothing: single episodes differ
HINT = "start anew with a lower optimizer.learning_rate, or a longer optimizer.warmup"
_FAR_WORSE: Final = 1.25, 0.5  # factor and nats over the loss at the start
_FEW = 3
_STEPS, _VALIDATIONS = 100, 2 * _FEW  # that are read of the end of a run

Points = Sequence[tuple[float, float]]


def is_diverged(run: Run, goes_on: bool = False) -> bool:
    """Tell whether a run's loss, or that of its validations, ends far above where it began.

    Both ends of its events are read only: a list of runs is quick.
    """
    if goes_on and len([*islice(backwards(run.events_path, ("step",)), BEGUN)]) < BEGUN:
        return False
    return _ends_worse(run, "step", _STEPS) or _ends_worse(run, "eval", _VALIDATIONS)


def far_worse(points: Points) -> bool:
    """Tell whether a loss, by step, ends far above where it began, or at no number."""
    if len(points) <= _FEW:  # one high loss, or two, say nothing
        return bool(points) and not math.isfinite(points[-1][1])
    begun = min(_FEW, len(points) - _FEW)
    return _is_worse(points[:begun], points[-max(_FEW, len(points) // 20) :])


def _is_worse(begun: Points, ended: Points) -> bool:
    first = min(y for _, y in begun)  # one that diverges may do so at its second step
    factor, margin = _FAR_WORSE
    last = median(y for _, y in ended)  # a single step may be of one hard episode
    return not math.isfinite(ended[-1][1]) or last > factor * first + margin


def _ends_worse(run: Run, kind: str, most: int) -> bool:
    ended = _losses(islice(backwards(run.events_path, (kind,)), most))
    if len(ended) < most:
        return far_worse(ended)
    begun = _losses(islice((event for event in run.events() if event["kind"] == kind), _FEW))
    return _is_worse(begun, ended[-max(_FEW, int(ended[-1][0]) // 20) :]) if begun else False


def _losses(events: Iterable[Event]) -> Points:
    pairs = ((figure(event, "step"), figure(event, "loss")) for event in events)
    return sorted((step, loss) for step, loss in pairs if step is not None and loss is not None)
