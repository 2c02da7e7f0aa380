"""What a model makes of the labels: the likeliest as bars, and by how much the first leads."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widget import Widget

from yofo_mlx.tasks.families import look_like_labels

from ..shared.blocks import bar
from ..shared.table import head
from ..shared.words import MUTED, one_line

MOST: Final = 200  # different answers up to which they are compared
SHOWN: Final = 3
WIDEST: Final = 24  # cells of a label's name, and of its bar

Share = tuple[str, float]


def labels_of(answers: Counter[str], wanted: bool | None) -> tuple[str, ...]:
    """Return the answers to compare; None: if they are labels, and not too many."""
    if wanted is False or not 1 < len(answers) <= MOST:
        return ()
    return tuple(answers) if wanted or look_like_labels(answers) else ()


def shares(scores: Sequence[dict[str, Any]]) -> list[Share]:
    """Return the labels' shares of the probability that all of them have, the largest first."""
    known = [(str(one["label"]), float(one["logprob"])) for one in scores]
    top = max((logprob for _, logprob in known), default=0.0)
    if not math.isfinite(top):
        return []
    weights = [(label, math.exp(logprob - top)) for label, logprob in known]
    total = sum(weight for _, weight in weights)
    return sorted(((label, weight / total) for label, weight in weights), key=lambda one: -one[1])


def margin(scores: Sequence[dict[str, Any]]) -> float | None:
    """Return by how many nats the likeliest label leads the next."""
    first, second, *_ = [*sorted((one["logprob"] for one in scores), reverse=True), None, None]
    return None if first is None or second is None else first - second


class LabelBars(Widget):
    """The likeliest labels, one a line: name, bar, share."""

    DEFAULT_CSS = """
    LabelBars { height: auto; padding: 0 1 0 2; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, shares: Sequence[Share], style: str) -> None:
        super().__init__()
        self._shares, self._style = list(shares[:SHOWN]), style

    def render(self) -> Content:
        """Draw as wide as there is room."""
        return drawn(self._shares, self.content_size.width, self._style)

    def get_content_height(self, container: Any, viewport: Any, width: int) -> int:
        """Return a line for each."""
        return len(self._shares)


def drawn(shares: Sequence[Share], width: int, style: str) -> Content:
    """Return a line for each label, bars of one scale."""
    named = [one_line(label).plain for label, _ in shares]
    names = min(max(map(cell_len, named), default=0), WIDEST, max(width - 14, 6))
    room = min(WIDEST, width - names - 5)
    rows = []
    for place, (name, (_, share)) in enumerate(zip(named, shares, strict=True)):
        shown = f"{share:.2f}".removeprefix("0") if share < 0.995 else "1.0"
        filled = bar(share, room) if room > 3 else ""
        weight = "" if place == 0 else MUTED
        cells = set_cell_size(head(name, names), names)
        rows.append(Content.assemble((cells, weight), " ", (filled, style), f" {shown:>3}"))
    return Content("\n").join(rows)
