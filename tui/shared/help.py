"""The help dialog: a table of the keys that apply, built from the bindings themselves."""

import inspect
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from .dialog import Dialog
from .words import MUTED

OWNERS = ("This place", "Everywhere", "Where the focus is")
PLACES_NOTE = (
    "Inside a text field the digits are text: press escape to leave it, or use F2, F3, F4. "
    "A run goes on when this app is closed."
)


@dataclass(frozen=True)
class KeyRow:
    """One action: its keys, its words, and the node it belongs to."""

    keys: str
    words: str
    tooltip: str
    action: str
    node: DOMNode
    ids: str = ""  # that keys of the user's own are given to


def key_table(screen: Screen[object]) -> list[KeyRow]:
    """Return every described binding that is active on a screen, keys of one meaning together."""
    keys: dict[tuple[str, DOMNode], list[str]] = {}
    bindings: dict[tuple[str, DOMNode], list[Binding]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        inherited = active.node is screen and not binding.id  # Textual's own, such as tab
        if not binding.description or not active.enabled or binding.system or inherited:
            continue
        group = (binding.description, active.node)
        key = screen.app.get_key_display(binding)
        if key not in keys.setdefault(group, []):
            keys[group].append(key)
        bindings.setdefault(group, []).append(binding)
    rows = []
    for (words, node), shown in keys.items():
        first, *_ = same = bindings[words, node]
        ids = " ".join(dict.fromkeys(one.id for one in same if one.id))
        rows.append(KeyRow(" ".join(shown), words, first.tooltip, first.action, node, ids))
    return sorted(rows, key=lambda row: OWNERS.index(_owner(row.node)))


def about(widget: Widget | None) -> str:
    """Return the words about a widget, or about the nearest thing around it that has some."""
    nodes = [] if widget is None else widget.ancestors_with_self
    return next((inspect.cleandoc(words) for words in map(_words_of, nodes) if words), "")


def _words_of(node: DOMNode) -> str:
    """Return the words of a kind of widget, or those of this one, shown to the mouse as well."""
    own = node.tooltip if isinstance(node, Widget) else None
    return own if isinstance(own, str) else node.HELP or ""


class HelpScreen(Dialog, ModalScreen[None]):
    """Keys of the place, of the app, and of the focused widget."""

    CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen > VerticalScroll {
        width: 76; max-width: 95%; height: auto; max-height: 90%;
        padding: 1 2; background: $surface; border: round $primary;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,question_mark,q,enter", "dismiss", "Close", id="help.close"),
        Binding("i", "ids", "Names of the keys for app.toml", id="help.ids"),
    ]

    def __init__(self, rows: list[KeyRow], about: str = "") -> None:
        super().__init__()
        self._rows, self._about = rows, about
        self._has_ids = False

    def compose(self) -> ComposeResult:
        """Lay the table out."""
        with VerticalScroll() as box:
            box.border_title = "Keys"
            yield Static(self._table())

    def action_ids(self) -> None:
        """Show or hide the names that [keys] in app.toml takes."""
        self._has_ids = not self._has_ids
        self.query_one(Static).update(self._table())

    def _table(self) -> Content:
        width = min(max((len(row.keys) for row in self._rows), default=0), 22)
        parts: list[Content | str | tuple[str, str]] = []
        if self._about:
            parts.append(f"{self._about}\n\n")
        heading = ""
        for row in self._rows:
            if (owner := _owner(row.node)) != heading:
                parts.append((f"{'' if not heading else chr(10)}{owner}\n", "bold $text-primary"))
                heading = owner
            more = f"  {row.tooltip}" if row.tooltip else ""
            if self._has_ids:
                more = f"  {row.ids}"
            parts += [(f"  {row.keys:<{width}}  ", "$text-accent"), row.words, (more, MUTED), "\n"]
        ids = '[keys] in app.toml takes these names: "runs.new" = "N"'
        note = ids if self._has_ids else f"{PLACES_NOTE} i shows names to change keys by."
        return Content.assemble(*parts, ("\n" + note, MUTED))


def _owner(node: DOMNode) -> str:
    """Return the words over a node's keys."""
    if isinstance(node, Screen):
        return OWNERS[0]
    return OWNERS[1] if node is node.app else OWNERS[2]
