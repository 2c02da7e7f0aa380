"""The table of demonstrations: only rows in sight are drawn, however many there are."""

from dataclasses import dataclass
from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from yofo_mlx.tasks.task import Example

from ..shared.keys import VIM
from ..shared.table import head
from ..shared.words import MUTED, one_line
from .rows import Row, Rows, Told

SAMPLE: Final = 2_000  # rows that say how wide an answer is
MOST_OF_WIDTH: Final = 0.4  # an answer's share of the table at most
NARROW: Final = 64  # cells, below which what the model says beside is left out
SHARE: Final = 3  # cells of a probability
DOUBT: Final = " ◀?"


@dataclass(frozen=True)
class Widths:
    """How many cells each column has; 0 leaves it out."""

    number: int
    input: int
    answer: int
    says: int
    told: int


class RowTable(ScrollView, can_focus=True):
    """Draws rows under a heading that stays, with a cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-table--cursor", "row-table--head"}
    DEFAULT_CSS = """
    RowTable {
        height: 1fr; border: round $foreground 30%; background: $background; padding: 0 1;
        overflow-x: hidden; scrollbar-size-vertical: 1;
        border-title-color: $foreground-muted; border-subtitle-color: $foreground-muted;
        & .row-table--head { color: $foreground-muted; }
        & .row-table--cursor { background: $block-cursor-blurred-background; }
    }
    RowTable:focus {
        border: round $primary; border-title-color: $text-primary;
        & .row-table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
    }
    """
    HELP = """Demonstrations, a row each: what a model reads before every question. `space` leaves
one out, `e` edits it, `J` and `K` move it, `D` drops it, `u` takes that back. Once they are read,
`model says` is what the model expected behind the rows before, and `p` how likely the row's own
answer was; `◀?` marks what contradicts the others: `x` drops those. `S` saves them as a set."""
    BINDINGS: ClassVar[list[BindingType]] = [
        *VIM,
        Binding("down", "cursor_down", "Down", show=False, id="rows.down"),
        Binding("up", "cursor_up", "Up", show=False, id="rows.up"),
        Binding("pagedown", "page_down", "Page down", show=False, id="rows.page-down"),
        Binding("pageup", "page_up", "Page up", show=False, id="rows.page-up"),
    ]

    cursor: reactive[int] = reactive(0)  # among the rows that are seen

    class Opened(Message):
        """A row was clicked twice."""

    class Ticked(Message):
        """A row's mark was clicked."""

    class Headed(Message):
        """The heading was clicked."""

    def __init__(self, rows: Rows, empty: Content) -> None:
        super().__init__()
        self._rows, self._empty = rows, empty
        self._answer = self._said = 0  # cells that answers, and what is said instead, take
        self._measured: tuple[tuple[Row, ...], dict[Example, Told]] | None = None

    @property
    def place(self) -> int | None:
        """Return the place of the row under the cursor, from 0."""
        places = self._rows.places
        return places[self.cursor] if self.cursor < len(places) else None

    def go_to(self, place: int) -> None:
        """Put the cursor on a row, if it is seen."""
        if place in self._rows.places:
            self.cursor = self._rows.places.index(place)

    def update(self) -> None:
        """Draw the rows as they are now."""
        seen = len(self._rows.places)
        self.virtual_size = Size(0, seen + 1 if seen else 0)
        self._measure()
        self.cursor = max(0, min(self.cursor, seen - 1))
        self._follow()
        self.refresh()

    def _measure(self) -> None:
        """Find out how wide the first answers are, where those are others than before."""
        now = (self._rows.all[:SAMPLE], self._rows.told)
        if now != self._measured:  # the same rows are told at a glance
            self._measured = now
            sample = [row.example for row in now[0]]
            told = [said for one in sample if (said := now[1].get(one)) is not None]
            self._answer = _widest({one.output for one in sample})
            self._said = _widest({said.says for said in told}) if told else 0

    def validate_cursor(self, cursor: int) -> int:
        """Stay on a row."""
        return max(0, min(cursor, len(self._rows.places) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Draw both rows, and keep the cursor in sight."""
        self.refresh_lines(before + 1)
        self.refresh_lines(now + 1)
        self._follow()

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._follow()

    def _follow(self) -> None:
        room = self._room
        first = self.scroll_offset.y
        wanted = min(max(first, self.cursor - room + 1), self.cursor)
        if wanted != first:
            # Forced: the scroll bar may not be laid out yet.
            self.scroll_to(y=wanted, animate=False, immediate=True, force=True)

    @property
    def _room(self) -> int:
        return max(1, self.scrollable_content_region.height - 1)

    def action_cursor_down(self) -> None:
        """Go to the next row."""
        self.cursor += 1

    def action_cursor_up(self) -> None:
        """Go to the row before."""
        self.cursor -= 1

    def action_page_down(self) -> None:
        """Go down by as many rows as are in sight."""
        self.cursor += self._room

    def action_page_up(self) -> None:
        """Go up by as many rows as are in sight."""
        self.cursor -= self._room

    def action_scroll_top(self) -> None:
        """Go to the first row."""
        self.cursor = 0

    def action_scroll_bottom(self) -> None:
        """Go to the last row."""
        self.cursor = len(self._rows.places) - 1

    action_scroll_home, action_scroll_end = action_scroll_top, action_scroll_bottom

    def on_click(self, event: Click) -> None:
        """Go to a row; a click on its mark puts it on or off, two open it."""
        at = event.get_content_offset(self)
        if at is None or not self._rows.places:
            return
        row = self.scroll_offset.y + at.y - 1
        if at.y == 0:
            self.post_message(self.Headed())
        elif row < len(self._rows.places):
            self.cursor = row
            if at.x < 2:
                self.post_message(self.Ticked())
            elif event.chain == 2:
                self.post_message(self.Opened())

    def render_line(self, y: int) -> Strip:
        """Draw the heading, or a row."""
        width = self.scrollable_content_region.width
        row = self.scroll_offset.y + y - 1
        places = self._rows.places
        if not places:
            return self._line_of_empty(y, width)
        if y == 0:
            return self._strip(self._head(width), width, "row-table--head")
        if row >= len(places):
            return Strip.blank(width, self.rich_style)
        content = self._content(places[row], width)
        if row != self.cursor:
            return self._strip(content, width)
        plain = content.without_spans if self.has_focus else content
        return self._strip(plain, width, "row-table--cursor")

    def _line_of_empty(self, y: int, width: int) -> Strip:
        words = Content("no row holds these words") if self._rows.all else self._empty
        lines = Visual.to_strips(self, words, width, None, self.get_visual_style("row-table--head"))
        return lines[y] if y < len(lines) else Strip.blank(width, self.rich_style)

    def _strip(self, content: Content, width: int, *classes: str) -> Strip:
        style = self.get_visual_style(*classes)
        return Visual.to_strips(self, content, width, 1, style, pad=True)[0]

    def _head(self, width: int) -> Content:
        to = self._widths(width)
        told = f"  {'model says':{to.says}.{to.says}}" if to.says else ""
        share = f" {'p':>{SHARE}}" if to.told else ""
        return Content(
            f"  {'#':>{to.number}} {'input':{to.input}.{to.input}}"
            f"  {'answer':{to.answer}.{to.answer}}{told}{share}"
        )

    def _widths(self, width: int) -> Widths:
        number = len(str(len(self._rows.all)))
        told = SHARE + 1 + len(DOUBT) if self._rows.told else 0
        room = width - number - 5 - told
        answer = min(max(self._answer, 6), max(int(room * MOST_OF_WIDTH), 6))
        says = max(min(self._said, answer), 10) + 2 if told and width >= NARROW else 0
        return Widths(number, max(room - answer - says, 1), answer, max(says - 2, 0), told)

    def _content(self, place: int, width: int) -> Content:
        row, to = self._rows.all[place], self._widths(width)
        told = self._rows.told.get(row.example)
        is_odd = row.is_on and told is not None and told.is_suspicious
        answer = "$text-warning" if is_odd else "$text-success"
        parts = [
            ("✓ " if row.is_on else "○ ", "$text-success" if row.is_on else MUTED),
            (f"{place + 1:>{to.number}} ", MUTED),
            (_cell(row.example.input, to.input), "" if row.is_on else MUTED),
            ("  ", ""),
            (_cell(row.example.output, to.answer), answer if row.is_on else MUTED),
        ]
        if to.says:
            says = told.says if told is not None else ""
            parts.append((f"  {_cell(says, to.says)}", "$text-warning" if is_odd else MUTED))
        if to.told:
            parts.append((f" {_share(row, told):>{SHARE}}", "" if row.is_on else MUTED))
            parts.append((DOUBT if is_odd else "", "$text-warning"))
        return Content.assemble(*parts)


def _share(row: Row, told: Told | None) -> str:
    if not row.is_on:
        return "off"
    if told is None:
        return "–"
    return "1.0" if told.share > 0.994 else f"{told.share:.2f}"[1:]


def _cell(text: str, width: int) -> str:
    """Return the start of a text on so many cells, line breaks as signs."""
    return set_cell_size(head(one_line(text, width + 1).plain, width), width)


def _widest(texts: set[str]) -> int:
    return max((cell_len(one_line(text, 80).plain) for text in texts), default=0)
