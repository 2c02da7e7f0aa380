"""Keys that lists share, beside the arrows."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.dom import DOMNode
from textual.widgets import OptionList

VIM: list[BindingType] = [
    Binding("j", "cursor_down", "Cursor down", show=False, id="table.down"),
    Binding("k", "cursor_up", "Cursor up", show=False, id="table.up"),
    Binding("g,home", "scroll_top", "First", show=False, id="table.first"),
    Binding("G,end", "scroll_bottom", "Last", show=False, id="table.last"),
    Binding("ctrl+d", "page_down", "Page down", show=False, id="table.page_down"),
    Binding("ctrl+u", "page_up", "Page up", show=False, id="table.page_up"),
]
OF_OPTIONS: list[BindingType] = [
    Binding("j", "cursor_down", "Down", show=False, id="list.down"),
    Binding("k", "cursor_up", "Up", show=False, id="list.up"),
    Binding("g", "first", "First", show=False, id="list.first"),
    Binding("G", "last", "Last", show=False, id="list.last"),
    Binding("ctrl+d", "page_down", "Page Down", show=False, id="list.page_down"),
    Binding("ctrl+u", "page_up", "Page Up", show=False, id="list.page_up"),
]
OF_PAGES: list[BindingType] = [
    Binding("j", "scroll_down", "Scroll Down", show=False, id="page.down"),
    Binding("k", "scroll_up", "Scroll Up", show=False, id="page.up"),
    Binding("g", "scroll_home", "Scroll Home", show=False, id="page.first"),
    Binding("G", "scroll_end", "Scroll End", show=False, id="page.last"),
    Binding("ctrl+d", "page_down", "Page Down", show=False, id="page.page_down"),
    Binding("ctrl+u", "page_up", "Page Up", show=False, id="page.page_up"),
]


@cache
def teach_vi() -> None:
    """Let every list and page take vi's motions, Textual's own ones too, once.

    A drop-down keeps letters to find its entries by.
    """
    for kind, bindings in ((OptionList, OF_OPTIONS), (ScrollableContainer, OF_PAGES)):
        kind.BINDINGS = [*kind.BINDINGS, *bindings]
        for one in (kind, *_kinds_of(kind)):
            one._merged_bindings = one._merge_bindings()


def binding_ids() -> set[str]:
    """Return the names of all keys of what has been imported."""
    kinds = _kinds_of(DOMNode)
    bindings = (one for kind in kinds for one in kind.__dict__.get("BINDINGS", ()))
    return {one.id for one in bindings if isinstance(one, Binding) and one.id}


def _kinds_of(kind: type[DOMNode]) -> Iterator[Any]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds_of(one)
