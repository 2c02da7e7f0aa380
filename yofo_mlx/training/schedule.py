"""How far a run is, what is due there, and the learning rate."""

import math

from yofo_mlx.recipe.schema import Optimizer, Training


def share_done(settings: Training, steps: int, tokens: int) -> float:
    """Return the share of a run that so many steps and tokens are; 1 at its end."""
    if settings.steps is not None:
        return steps / settings.steps
    assert settings.tokens is not None
    return tokens / settings.tokens


def is_due(every: int | None, step: int) -> bool:
    """Tell whether what is done every so many steps is done after this one."""
    return every is not None and step > 0 and step % every == 0


def learning_rate(settings: Optimizer, share: float) -> float:
    """Return the rate when `share` (0 to 1) of the run is done: linear warm-up, then decay."""
    peak = settings.learning_rate
    if share < settings.warmup:
        return peak * share / settings.warmup
    if settings.schedule == "constant":
        return peak
    rest = 1.0 - settings.warmup  # 0 where all of the run is warm-up
    done = min(1.0, (share - settings.warmup) / rest) if rest else 1.0
    falling = 1.0 - done if settings.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return peak * (settings.final + (1.0 - settings.final) * falling)
