"""Keys that lists share, beside the arrows."""

from textual.binding import Binding, BindingType

VIM: list[BindingType] = [
    Binding("j", "cursor_down", "Down", show=False, id="table.down"),
    Binding("k", "cursor_up", "Up", show=False, id="table.up"),
    Binding("g,home", "scroll_top", "First", show=False, id="table.first"),
    Binding("G,end", "scroll_bottom", "Last", show=False, id="table.last"),
]
