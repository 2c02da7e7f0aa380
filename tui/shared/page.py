"""A place of its own that is opened over another, and left by escape."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from .dialog import Dialog
from .recovery import Recovering


class Page(Dialog, Recovering):
    """A screen that is left by escape; the places stay a key away, and lead back to it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="page.leave"),
    ]

    def action_leave(self) -> None:
        """Go back to what lies below."""
        self.dismiss()
