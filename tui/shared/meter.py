"""A progress bar with words before and after it, on one line."""

from textual.content import Content
from textual.widget import Widget

from .words import MUTED


class Meter(Widget):
    """Shows a share; empty while there is none."""

    DEFAULT_CSS = """
    Meter { height: 1; width: 1fr; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: tuple[float | None, str, str] = (None, "", "")

    def show(self, share: float | None, before: str, after: str = "") -> None:
        """Draw this share from now on; None leaves the bar out."""
        if self._shown != (share, before, after):
            self._shown = (share, before, after)
            self.refresh()

    def render(self) -> Content:
        """Draw the bar into the space that the words leave."""
        share, before, after = self._shown
        room = self.size.width - len(before) - len(after) - 2
        if share is None or room < 4:
            return Content(" ".join(part for part in (before, after) if part))
        full = round(min(max(share, 0.0), 1.0) * room)
        bar = Content.assemble(("━" * full, "$primary"), ("─" * (room - full), MUTED))
        return Content.assemble(before, " ", bar, " ", after)
