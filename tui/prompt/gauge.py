"""How full the context is: counted, read, and up to where the model was trained."""

from dataclasses import dataclass
from typing import Any, Final

from textual.content import Content
from textual.widget import Widget

from yofo_mlx.system.quantities import duration, size

from ..shared.blocks import bar
from ..shared.words import MUTED, number, safe

WIDEST: Final = 60  # cells of the bar
LEAST: Final = 10


@dataclass(frozen=True)
class Fill:
    """Tokens of a context: chosen for it, in it, and what it holds at most."""

    counted: int = 0
    cached: int = 0
    limit: int | None = None
    trained: int | None = None  # the longest training episode

    @property
    def is_cached(self) -> bool:
        """Tell whether all that is chosen is in the context."""
        return 0 < self.counted <= self.cached

    @property
    def ends_at(self) -> int:
        """Return how many tokens the whole bar stands for."""
        return max(self.limit or self.counted, self.counted, 1)


class ContextGauge(Widget):
    """A bar of tokens with words behind it; words alone where there is nothing to measure."""

    DEFAULT_CSS = """
    ContextGauge {
        height: 1; width: 1fr; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fill, self._words, self._style = Fill(), "", MUTED

    @property
    def fill(self) -> Fill:
        """Return what is drawn."""
        return self._fill

    def show(self, fill: Fill, words: str, style: str = MUTED) -> None:
        """Draw this from now on."""
        if (fill, words, style) != (self._fill, self._words, self._style):
            self._fill, self._words, self._style = fill, words, style
            self.tooltip = explained(fill) or None
            self.refresh()

    def render(self) -> Content:
        """Draw the bar into the space that the words leave."""
        words = safe(self._words).stylize(self._style)
        room = min(WIDEST, self.content_size.width - words.cell_length - 3)
        if not self._fill.counted or room < LEAST:
            return words
        return Content.assemble(drawn(self._fill, room), " ", words)


def drawn(fill: Fill, width: int) -> Content:
    """Return the bar: what is read is bright, what is to be read dim, `┆` where training ended."""
    room = width - 2
    cached, counted = min(fill.cached, fill.counted) / fill.ends_at, fill.counted / fill.ends_at
    bright = bar(cached, room).rstrip()
    dim = "░" * (round(counted * room) - len(bright))
    rest = " " * (room - len(bright) - len(dim))
    over = fill.trained is not None and fill.counted > fill.trained
    parts = [(bright, "$text-warning" if over else "$text-success"), (dim, MUTED), (rest, "")]
    inside = Content.assemble(*(part for part in parts if part[0]))
    if fill.trained and fill.trained < fill.ends_at:
        at = min(round(fill.trained / fill.ends_at * room), room - 1)
        mark = Content.styled("┆", "$text-warning" if over else MUTED)
        inside = Content.assemble(inside[:at], mark, inside[at + 1 :])
    return Content.assemble(("▕", MUTED), inside, ("▏", MUTED))


def explained(fill: Fill) -> str:
    """Say what the bar means."""
    if not fill.counted:
        return ""
    said = [f"{fill.counted:,} tokens of demonstrations, {fill.cached:,} of them in memory"]
    if fill.limit:
        said.append(f"the model's context holds {fill.limit:,}")
    if fill.trained:
        said.append(f"┆ it was trained on at most {fill.trained:,}")
    return "\n".join(said)


def told(fill: Fill, facts: dict[str, Any]) -> str:
    """Say what is in the context, and of how much."""
    tokens = number(fill.counted)
    said = [f"{tokens} of {number(fill.limit)} tokens" if fill.limit else f"{tokens} tokens"]
    shots, offered = facts.get("shots"), facts.get("offered")
    if isinstance(shots, int):
        said.append(f"{shots:,} of {offered:,} shots" if offered != shots else f"{shots:,} shots")
    where = "from disk" if facts.get("disk_tokens") else "cached"
    said.append(f"✓ {where}" if fill.is_cached else f"{number(fill.cached)} cached")
    sides = [facts, *facts.get("beside", ())]
    if sum_gb := sum(side.get("kv_gb") or 0 for side in sides):
        said.append(f"{sum_gb:.1f} GB" if sum_gb >= 0.1 else f"{1000 * sum_gb:.0f} MB")
    if on_disk := sum(side.get("disk_bytes") or 0 for side in sides):
        said.append(f"{size(on_disk)} on disk")
    return " · ".join(said)


def reading(fill: Fill, whose: str, seconds_left: float | None) -> str:
    """Say how far a reading is."""
    left = f" · {duration(seconds_left)} left" if seconds_left else ""
    return f"{whose}reading {number(fill.cached)} of {number(fill.counted)} tokens{left}"
