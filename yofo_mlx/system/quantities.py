"""Counts, sizes, ages and lengths of time, in words."""

import math


def plural(amount: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def size(nbytes: float) -> str:
    """Return bytes as 14.2 GB, 870 MB, 0.4 MB, 12 kB or 51 B (1e9, 1e6 and 1e3 bytes)."""
    if nbytes < 5e4:
        return f"{nbytes / 1e3:.0f} kB" if nbytes >= 1e3 else f"{nbytes:.0f} B"
    if nbytes >= 1e9:
        return f"{nbytes / 1e9:.1f} GB"
    return f"{nbytes / 1e6:.{0 if nbytes >= 1e7 else 1}f} MB"


def duration(seconds: float | None) -> str:
    """Return a length of time with its two largest units, such as 1 h 2 min."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def age(seconds: float) -> str:
    """Return how long ago something was, in one short unit, such as 5m or 3d."""
    whole = max(0, int(seconds))
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= unit_s:
            return f"{whole // unit_s}{unit}"
    return f"{whole}s"
