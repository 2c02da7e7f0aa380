"""Bars and sparks of block characters, which every font has."""

import math
from collections.abc import Sequence
from itertools import pairwise

EIGHTHS = " ▏▎▍▌▋▊▉█"  # of a cell, from the left
LEVELS = "▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """Return a bar of so many cells, filled up to a share to the eighth of a cell."""
    full, part = divmod(round(min(max(share, 0.0), 1.0) * width * 8), 8)
    return (EIGHTHS[8] * full + (EIGHTHS[part] if part else "")).ljust(width)


def gauge(share: float, width: int) -> str:
    """Return a bar between two ends."""
    return f"▕{bar(share, width - 2)}▏"


def spark(values: Sequence[float], width: int) -> str:
    """Return values as a row of heights from the least to the largest, the means of neighbours."""
    known = [value for value in values if math.isfinite(value)]
    count = min(width, len(known))
    edges = [len(known) * place // count for place in range(count + 1)] if count else []
    unit = max(map(abs, known), default=0.0) or 1.0  # sums of huge ones would be infinite
    means = [sum(value / unit for value in known[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = (min(means), max(means)) if means else (0.0, 0.0)
    top = len(LEVELS) - 1
    return "".join(
        LEVELS[round((v - low) / (high - low) * top) if high > low else 0] for v in means
    )
