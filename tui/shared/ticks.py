"""Round numbers along an axis."""

import math


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most so many multiples of 1, 2, 2.5 or 5 times a power of ten, from low to high."""
    span = high - low
    if not (math.isfinite(span) and span > 0 and most > 0):
        return [low] if math.isfinite(low) else []
    power = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 2.5, 5, 10, 20, 25, 50, 100):
        width = factor * power
        first, last = math.ceil(low / width - 1e-9), math.floor(high / width + 1e-9)
        if last - first + 1 <= most:
            return [n * width for n in range(first, last + 1)]
    return []


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers for an axis of powers: of the decades 1, 2 and 5, or 1 alone."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**n for n in decades for f in factors]
        found = [value for value in found if low * 0.999 <= value <= high * 1.001]
        if 2 <= len(found) <= most:
            return found
    if len(decades) <= 2:  # a narrow stretch has room for round numbers only
        return round_ticks(low, high, most)
    step = -(-len(decades) // most)
    return [10.0**n for n in decades[::step] if low * 0.999 <= 10.0**n <= high * 1.001]
