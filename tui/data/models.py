"""The dialog that picks whose tokens are counted."""

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.preview.client import PreviewClient

from ..shared.dialog import Dialog
from ..shared.recovery import Recovering
from ..shared.words import muted, one_line, safe

OWN = "each recipe's own model"


class TokenModelScreen(Dialog, Recovering, ModalScreen[str | None]):
    """Lists the models on this disk; an empty name is the recipe's own."""

    DEFAULT_CSS = """
    TokenModelScreen { align: center middle; background: $background 60%; }
    TokenModelScreen > Vertical {
        width: 64; max-width: 95%; height: auto; max-height: 80%;
        padding: 1 2; background: $surface; border: round $primary;
    }
    TokenModelScreen OptionList { height: auto; max-height: 20; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", id="token_model.cancel"),
    ]

    class Listed(Message):
        """The models were found."""

        def __init__(self, names: list[str]) -> None:
            super().__init__()
            self.names = names

    def __init__(self, now: str) -> None:
        super().__init__()
        self._now, self._client = now, PreviewClient()

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical() as box:
            box.border_title = "Count tokens of"
            yield OptionList(Option(OWN, id=""))
            yield Static(muted("looking for models on this disk …"))

    def on_mount(self) -> None:
        """Look for models."""
        self.query_one(OptionList).highlighted = 0
        self._look()

    def on_unmount(self) -> None:
        """Look no further."""
        self._client.close()

    @work(thread=True, exclusive=True, exit_on_error=False, group="models")
    def _look(self) -> None:
        try:
            self.post_message(self.Listed(self._client.call("models")["models"]))
        except Cancelled:
            return
        except YofoError as error:
            self.recover("models", error.message)

    @on(Listed)
    def _listed(self, message: Listed) -> None:
        options = self.query_one(OptionList)
        options.add_options([Option(one_line(name, 56), id=name) for name in message.names])
        if self._now in message.names:
            options.highlighted = message.names.index(self._now) + 1
        self.query_one(Static).display = False

    def recover(self, group: str, words: str) -> None:
        """Say what went wrong in place of the list."""
        self.app.call_later(self.query_one(Static).update, safe(words).stylize("$text-error"))

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id or "")
