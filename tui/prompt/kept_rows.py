"""Demonstrations and an instruction as they are kept: in named sets, and in files."""

from typing import ClassVar, Final

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from yofo_mlx.errors import YofoError
from yofo_mlx.prompting import sets
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.task import Example

from ..shared.confirm import ConfirmScreen
from ..shared.words import safe
from .fields import TextField
from .pasted import Unsaved, saved_demonstrations
from .rows import Rows
from .set_picker import SetScreen

Kept = tuple[list[Example], str]  # rows that are on, and the instruction
NOTHING: Final[Kept] = ([], "")


class KeptRows(Vertical):
    """Rows and their instruction, which know what of them is in no file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("S", "save_set", "Save as a set", id="rows.save"),
    ]

    class Stored(Message):
        """A set was written, or could not be."""

        def __init__(self, name: str, kept: Kept, error: YofoError | None) -> None:
            super().__init__()
            self.name, self.kept, self.error = name, kept, error

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.rows = Rows()
        self.set_name = ""  # of the named set that was opened or saved last
        self._kept = NOTHING

    @property
    def examples(self) -> list[Example]:
        """Return the demonstrations that are on."""
        return self.rows.examples

    @property
    def instruction(self) -> str:
        """Return the instruction that is written."""
        return self.query_one("#instruction", TextField).text.strip()

    @property
    def is_unsaved(self) -> bool:
        """Tell whether something is in no file."""
        return bool(self.unsaved())

    def unsaved(self) -> list[str]:
        """Name what is in no file."""
        kept, instruction = self._kept
        examples = self.examples
        lost = ["the demonstrations"] if examples and examples != kept else []
        has_instruction = self.instruction not in ("", instruction)
        return lost + (["the instruction"] if has_instruction else [])

    @property
    def caches(self) -> str | None:
        """Return the folder that keeps what models read of the rows; None: they are no set's."""
        is_set = self.set_name and self.examples and self._kept == (self.examples, self.instruction)
        return str(sets.checked(self.set_name).caches) if is_set else None

    def to_save(self) -> Unsaved | None:
        """Return what a file would hold."""
        now = (self.examples, self.instruction)
        return saved_demonstrations(*now, lambda: self.remember(now)) if now[0] else None

    def remember(self, kept: Kept, name: str | None = None) -> None:
        """Take this for saved, as the set of that name or in a file."""
        self._kept = kept
        self.set_name = self.set_name if name is None else name
        self.show_saved()

    def show_saved(self) -> None:
        """Show what is in no file."""

    def action_save_set(self) -> None:
        """Save the rows that are on, and the instruction, under a name."""
        if not self.examples:
            self.warn("no row is on: there is nothing to save")
            return

        def save(name: str | None) -> None:
            if name is None:
                return
            if name == self.set_name or sets.find(name) is None:
                self._store(name)
                return
            question = Content(f"There is a set {name}. Put these rows in its place?")
            ask = ConfirmScreen(question, "Replace")
            self.app.push_screen(ask, lambda yes: self._store(name) if yes else None)

        self.app.push_screen(SetScreen(self.set_name, saves=True), save)

    def _store(self, name: str) -> None:
        now = (self.examples, self.instruction)

        def work() -> None:
            error = None
            try:
                sets.put(sets.checked(name), *now)
            except YofoError as found:
                error = found
            self.post_message(self.Stored(name, now, error))

        self.screen.run_worker(work, group="set", thread=True, exit_on_error=False)

    @on(Stored)
    def _stored(self, message: Stored) -> None:
        message.stop()
        if message.error is not None:
            self.warn(f"{message.error.message}: {message.error.hint}")
            return
        self.remember(message.kept, message.name)
        count = len(message.kept[0])
        off = len(self.rows.all) - len(self.examples)
        left_out = f"; without {off:,} that are off" if off else ""
        words = f"{plural(count, 'row')} as {message.name}{left_out}"
        self.app.notify(words, title="Saved", markup=False)

    def warn(self, words: str) -> None:
        """Tell what cannot be done."""
        self.app.notify(safe(words).plain, severity="warning", markup=False)
