"""Bars in eighths of a cell, of block characters, which every font has."""

EIGHTHS = " ▏▎▍▌▋▊▉█"  # of a cell, from the left


def bar(share: float, width: int) -> str:
    """Return a bar of so many cells, filled up to a share to the eighth of a cell."""
    full, part = divmod(round(min(max(share, 0.0), 1.0) * width * 8), 8)
    return (EIGHTHS[8] * full + (EIGHTHS[part] if part else "")).ljust(width)


def gauge(share: float, width: int) -> str:
    """Return a bar between two ends."""
    return f"▕{bar(share, width - 2)}▏"
