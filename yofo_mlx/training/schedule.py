"""The learning rate over a run."""

import math

from yofo_mlx.recipe.schema import Optimizer


def learning_rate(settings: Optimizer, share: float) -> float:
    """Return the rate when `share` (0 to 1) of the run is done: linear warm-up, then decay."""
    peak = settings.learning_rate
    if share < settings.warmup:
        return peak * share / settings.warmup
    if settings.schedule == "constant":
        return peak
    rest = 1.0 - settings.warmup
    done = min(1.0, (share - settings.warmup) / rest) if rest else 1.0
    falling = 1.0 - done if settings.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return peak * (settings.final + (1.0 - settings.final) * falling)
