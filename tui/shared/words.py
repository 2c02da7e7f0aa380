"""Numbers and states, as the app writes them."""

import math
from collections.abc import Iterable

from textual.content import Content

from yofo_mlx.runs.folder import TROUBLE, Status
from yofo_mlx.system.text import printable, shorten

MUTED = "$foreground-muted"
MARKS: dict[Status, tuple[str, str]] = {
    "created": ("○", MUTED),
    "running": ("●", "$text-success"),
    "stopping": ("◐", "$text-warning"),
    "finished": ("✓", "$text-primary"),
    "stopped": ("■", "$text-warning"),
    "failed": ("✗", "$text-error"),
    "died": ("✗", "$text-error"),
}


def status_mark(status: Status, is_diverged: bool = False) -> tuple[str, str]:
    """Return a status as a mark and a word, and its colour."""
    mark, style = MARKS[status]
    if is_diverged and status not in TROUBLE:
        return "! diverged", "$text-error"
    return f"{mark} {status}", style


def muted(text: str) -> Content:
    """Return text of less weight."""
    return Content.styled(text, MUTED)


def safe(text: object, limit: int = 2000) -> Content:
    """Return foreign text as content: no markup, no control characters, not too long."""
    plain = str(text)[: limit + 1].replace("\t", "    ")
    shown = printable(plain, keep="\n")
    return Content(shown if len(plain) <= limit else shown[: limit - 1] + "…")


def one_line(text: object, limit: int = 200) -> Content:
    """Return foreign text on one line, line breaks shown as ⏎."""
    plain = str(text)[: limit + 1].replace("\r\n", "\n").replace("\n", "⏎").replace("\t", " ")
    return Content(shorten(plain, limit))


def lines(parts: Iterable[Content | str]) -> Content:
    """Join contents as lines."""
    return Content("\n").join([Content(part) if isinstance(part, str) else part for part in parts])


def number(value: float | None) -> str:
    """Return a number in about six characters, such as 0.123, 12.3, 4.2k, 9e18."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1e12:
        return f"{value:.0e}".replace("e+", "e")
    if size >= 1e9:
        return f"{value / 1e9:.1f}G"
    if size >= 1e6:
        return f"{value / 1e6:.1f}M"
    if size >= 1e4:
        return f"{value / 1e3:.0f}k"
    if size >= 1e3:
        return f"{value / 1e3:.1f}k"
    if size >= 100 or value == int(value):
        return f"{value:.0f}"
    if size >= 0.001:
        return f"{value:.3g}"
    return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")


def percent(share: float | None) -> str:
    """Return a share as a percentage."""
    return "–" if share is None else f"{share * 100:.0f}%"
