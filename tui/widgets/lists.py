"""Lists one leafs through, wherever Textual makes them."""

from functools import cache
from typing import Any

from textual.widgets import OptionList


@cache
def mend_lists() -> None:
    """Let a list that was never drawn, or has no room, take page keys: Textual fails there."""
    move = OptionList._move_page

    def move_page(self: OptionList, direction: Any) -> None:
        if self._index_to_line:
            move(self, direction)

    OptionList._move_page = move_page  # type: ignore[method-assign]
