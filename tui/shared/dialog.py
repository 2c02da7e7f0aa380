"""What every dialog shares: it closes once."""

from typing import TYPE_CHECKING, Any

from textual.await_complete import AwaitComplete
from textual.screen import Screen

# No screen by itself: Textual looks for what a class declares along its first base that is one.
if TYPE_CHECKING:
    Base = Screen[Any]
else:
    Base = object


class Dialog(Base):
    """Mixed into dialogs: fast fingers close one twice, and Textual would close what lies below."""

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close, with what was opened over it; closed already, do nothing."""
        if self not in self.app.screen_stack:
            return AwaitComplete()
        while self.app.screen is not self:
            self.app.pop_screen()
        done: AwaitComplete = super().dismiss(result)
        return done
