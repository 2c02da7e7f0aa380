"""The dialogs of named sets: which to open, and under which name to save."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from yofo_mlx.errors import YofoError
from yofo_mlx.prompting import sets
from yofo_mlx.system.quantities import plural, size
from yofo_mlx.system.text import reason

from ..shared.dialog import Dialog
from ..shared.words import MUTED, safe


@dataclass(frozen=True)
class Listed:
    """A named set, as it is offered."""

    name: str
    rows: int
    bytes: int


def listed() -> list[Listed]:
    """Return all sets by name; one that cannot be read has no rows."""
    found = []
    for one in sets.everything():
        try:
            data = one.path.read_bytes()
        except OSError:
            data = b""
        found.append(Listed(one.name, data.count(b"\n"), len(data)))
    return found


class SetScreen(Dialog, ModalScreen[str | None]):
    """Lists the sets, found by typing; gives back a name."""

    CSS = """
    SetScreen { align: center middle; background: $background 60%; }
    SetScreen > Vertical {
        width: 64; max-width: 95%; height: auto; max-height: 80%; padding: 1 2;
        background: $surface; border: round $primary;
        border-subtitle-color: $foreground-muted;
    }
    SetScreen OptionList {
        height: auto; max-height: 12; margin-top: 1; border: none; padding: 0;
        background: $surface;
    }
    SetScreen Static { height: auto; color: $foreground-muted; margin-top: 1; }
    SetScreen #problem { color: $text-error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel", id="set.cancel"),
        Binding("down", "move(1)", "Next", show=False, id="set.next", priority=True),
        Binding("up", "move(-1)", "Before", show=False, id="set.before", priority=True),
    ]

    class Found(Message):
        """The sets there are."""

        def __init__(self, found: list[Listed]) -> None:
            super().__init__()
            self.found = found

    def __init__(self, name: str, *, saves: bool) -> None:
        super().__init__()
        self._set, self._saves = name, saves
        self._found: list[Listed] = []

    def compose(self) -> ComposeResult:
        """Lay out the name over the sets."""
        with Vertical() as box:
            box.border_title = "Save as a set" if self._saves else "Open a set"
            box.border_subtitle = f"enter {'saves' if self._saves else 'opens'} · esc"
            shown = self._set if self._saves else ""
            yield Input(shown, placeholder="a name, such as tickets-june", compact=True)
            yield OptionList()
            yield Static(id="note")
            yield Static(id="problem")

    def on_mount(self) -> None:
        """Look for sets."""
        self.query_one("#problem").display = False
        self.query_one(Input).focus()
        self._look()

    @work(thread=True, exit_on_error=False, group="sets")
    def _look(self) -> None:
        try:
            self.post_message(self.Found(listed()))
        except OSError as error:
            self.post_message(self.Found([]))
            self.app.call_from_thread(self._refuse, f"sets cannot be read: {reason(error)}")

    @on(Found)
    def _show(self, message: Found) -> None:
        self._found = message.found
        self._fill()

    @on(Input.Changed)
    def _fill(self) -> None:
        typed = self.query_one(Input).value.strip().casefold()
        shown = [one for one in self._found if self._saves or typed in one.name.casefold()]
        choices = self.query_one(OptionList)
        choices.clear_options().add_options(
            Option(
                Content.assemble(
                    safe(one.name), (f"  {plural(one.rows, 'row')} · {size(one.bytes)}", MUTED)
                ),
                id=one.name,
            )
            for one in shown
        )
        choices.highlighted = None if self._saves or not shown else 0
        self.query_one("#note", Static).update(self._note(bool(shown)))

    def _note(self, is_any: bool) -> str:
        if self._saves:
            return "rows that are on, and the instruction; `yofo chat --demos NAME` reads them too"
        if is_any:
            return ""
        return "no set of that name" if self._found else "no set yet: S saves one"

    def action_move(self, by: int) -> None:
        """Go along the sets while the name is written."""
        choices = self.query_one(OptionList)
        if not choices.option_count:
            return
        at = choices.highlighted
        choices.highlighted = (at + by) % choices.option_count if at is not None else 0
        if self._saves and (option := choices.highlighted_option) is not None:
            self.query_one(Input).value = str(option.id)

    @on(OptionList.OptionSelected)
    def _select(self, event: OptionList.OptionSelected) -> None:
        self._end_with(str(event.option_id))

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        option = self.query_one(OptionList).highlighted_option
        if not self._saves:
            if option is not None:
                self._end_with(str(option.id))
        elif name := event.value.strip():
            self._end_with(name)

    def _end_with(self, name: str) -> None:
        try:
            self.dismiss(sets.checked(name).name)
        except YofoError as error:
            self._refuse(f"{error.message}: {error.hint}")

    def _refuse(self, words: str) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(safe(words))
        problem.display = True
