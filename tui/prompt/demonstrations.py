"""What stands before every question: demonstrations as rows, their health, an instruction."""

from threading import Event
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static, TextArea

from yofo_mlx.errors import YofoError
from yofo_mlx.prompting.demonstrations import Parsed
from yofo_mlx.prompting.soundness import Soundness
from yofo_mlx.system.quantities import plural

from ..shared.confirm import ConfirmScreen
from ..shared.words import safe
from .fields import TextField
from .health import HealthPanel, findings
from .kept_rows import KeptRows
from .readings import Coming, look_through, read
from .row_editor import RowsTextScreen, as_text
from .row_list import RowList
from .row_table import RowTable
from .rows import Row, told_by
from .set_picker import SetScreen

LOOK_AFTER: Final = 0.3  # seconds without a change
PROBLEMS: Final = 3  # that are named
EMPTY: Final = Content.assemble(
    "Paste labelled examples, such as\n\n",
    "my card is gone -> lost_card\nwhere is my PIN? -> get_pin\n\n",
    "(or tab, CSV, JSONL, Input:/Output: pairs; or drop a file)\n\n",
    ("i", "bold $text-accent"), " writes a row, ", ("O", "bold $text-accent"), " opens a set",
)  # fmt: skip


class Demonstrations(KeptRows):
    """Rows, what is wrong with them, and an instruction; all that is asked stands behind them.

    `wait` blocks until all that was pasted is read: call it from a thread, before `examples`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "health", "Health", id="rows.health", show=False),
        Binding("T", "text", "As text", id="rows.text", show=False),
        Binding("O", "open_set", "Open a set", id="rows.open"),
    ]

    class Changed(Message):
        """Other rows are on, or the instruction is another one."""

    class Read(Message):
        """What came was read."""

        def __init__(self, coming: Coming, parsed: list[Parsed], error: YofoError | None) -> None:
            super().__init__()
            self.coming, self.parsed, self.error = coming, parsed, error
            self.rows = [Row(example) for one in parsed for example in one.examples]

    class Looked(Message):
        """Rows were looked through."""

        def __init__(self, rows: tuple[Row, ...], found: Soundness) -> None:
            super().__init__()
            self.rows, self.found = rows, found

    def __init__(self) -> None:
        super().__init__(id="left")
        self._run: str | None = None
        self._coming: list[Coming] = []  # what is to be read; the first one is being read
        self._settled = Event()
        self._settled.set()
        self._format = self._read_words = ""
        self._pasted: list[str] = []  # the texts that the rows are, as long as nobody changed them
        self._as_pasted: tuple[Row, ...] | None = None
        self._facts: dict[str, Any] = {}
        self._facts_of: tuple[Row, ...] = ()
        self._sound: Soundness | None = None
        self._looking: Timer | None = None
        self._is_looking = False

    def compose(self) -> ComposeResult:
        """Lay out the rows, what is wrong, and the instruction."""
        yield RowList(self.rows, EMPTY)
        yield Static(id="problems")
        yield HealthPanel()
        instruction = TextField("none; for example: Name the intent.", id="instruction")
        instruction.tooltip = "A sentence before all demonstrations; a set keeps it with its rows."
        yield instruction

    def on_mount(self) -> None:
        """Name the fields."""
        self.query_one("#instruction").border_title = "instruction"
        self.query_one("#problems").display = False
        self.show_count("")
        self._show_health()

    @property
    def row_list(self) -> RowList:
        """Return the list of the rows, and its keys."""
        return self.query_one(RowList)

    @property
    def table(self) -> RowTable:
        """Return the table of the rows."""
        return self.query_one(RowTable)

    @property
    def is_settled(self) -> bool:
        """Tell whether all that was pasted is read."""
        return self._settled.is_set()

    def wait(self) -> None:
        """Wait for what is being read; blocks, so it is for threads."""
        self._settled.wait()

    def action_health(self) -> None:
        """Show the health in place of the rows, until one leaves it."""
        panel = self.query_one(HealthPanel)
        if panel.has_focus:
            self.table.focus()
            return
        panel.display = panel.can_focus = True  # tab passes it by
        self.add_class("-health")
        panel.focus()

    def on_descendant_blur(self) -> None:
        """Show the rows again, when the health is left."""
        panel = self.query_one(HealthPanel)
        if self.has_class("-health") and self.screen.focused is not panel:
            self.remove_class("-health")
            panel.styles.clear_rule("display")
            panel.can_focus = False

    # What comes in

    def paste(self, text: str) -> None:
        """Add what is in a text, or in the file that it names, at the end."""
        if text.strip():
            self._take(Coming("append", (text,)))

    def read_as(self, run: str | None) -> None:
        """Read what is pasted, and what was and is as it came, as the run was trained."""
        is_another, self._run = run != self._run, run
        if is_another and self._pasted and self.rows.all is self._as_pasted:
            self._take(Coming("again", tuple(self._pasted)))

    def _take(self, coming: Coming) -> None:
        self._coming.append(coming)
        self._settled.clear()
        if len(self._coming) == 1:
            self._read_next()
        self.show_count("")

    def _read_next(self) -> None:
        """Read in a thread, one after the other: a thread cannot be called back."""
        coming, run = self._coming[0], self._run

        def work() -> None:
            try:
                self.post_message(self.Read(coming, read(coming, run), None))
            except YofoError as error:
                self.post_message(self.Read(coming, [], error))

        self.screen.run_worker(work, group="parse", thread=True, exit_on_error=False)

    def parsing_failed(self) -> None:
        """Go on with what came after a text that ended the thread."""
        if self._coming:
            self._end_reading()

    def _end_reading(self) -> None:
        del self._coming[0]
        if self._coming:
            self._read_next()
        else:
            self._settled.set()
        self._show_rows()

    @on(Read)
    def _arrived(self, message: Read) -> None:
        message.stop()
        if message.error is not None:
            self.warn(f"{message.error.message}: {message.error.hint}")
        else:
            self._keep(message.coming, message.parsed, message.rows)
        self._end_reading()
        self._changed()

    def _keep(self, coming: Coming, parsed: list[Parsed], rows: list[Row]) -> None:
        said = next((one.instruction for one in parsed if one.instruction), "")
        self._show_problems(parsed)
        self._format = ", ".join(dict.fromkeys(one.format for one in parsed if one.examples))
        was_pasted = self.rows.all is self._as_pasted or not self.rows.all
        if coming.how == "open":
            self.rows.start(rows)
            self.query_one("#instruction", TextField).text = said
            self.remember((self.rows.examples, said), coming.texts[0])
        elif coming.how == "append" and rows:
            self.rows.append(rows)
            self._pasted = [*(self._pasted if was_pasted else ()), *coming.texts]
        elif coming.how == "replace":
            self.rows.replace_by(rows)
        elif coming.how == "again":
            self.rows.change(rows)
        keeps = coming.how == "again" or (coming.how == "append" and was_pasted)
        self._as_pasted = self.rows.all if keeps else None
        if said and not self.instruction:
            self.query_one("#instruction", TextField).text = said
        if coming.how == "append":
            self.table.action_scroll_bottom()

    # What is shown

    def show_count(self, read: str) -> None:
        """Show how many the model has read, in these words; of others, that it has not."""
        self._read_words = read
        on, off = len(self.examples), len(self.rows.all) - len(self.examples)
        words = read or (plural(on, "demonstration") if self.rows.all else "demonstrations")
        parts = [words, f"{off:,} off" if off else ""]
        if not self.rows.is_as_given:
            parts.append(f"{len(self.rows.places):,} seen, {self.rows.order}")
        if self.set_name:
            parts.append(self.set_name + ("*" if self.is_unsaved else ""))
        elif self.is_unsaved:
            parts.append("unsaved")
        title = " · ".join(part for part in parts if part)
        below = [self._format if self.rows.all else "", "not read yet" if on and not read else ""]
        if self._coming:
            below = ["reading …"]
        self.table.border_title = safe(title, 200).plain
        self.table.border_subtitle = " · ".join(part for part in below if part)

    def show_health(self, facts: dict[str, Any] | None) -> None:
        """Show what a session's `health` says of what it has read; None: nothing is known."""
        self._facts, self._facts_of = facts or {}, self.rows.all
        self.rows.tell(told_by(facts) if facts else {})
        self._show_rows()
        self._show_health()

    def _show_rows(self) -> None:
        self.row_list.update()
        self.show_count(self._read_words)

    def _show_health(self) -> None:
        is_changed = self._facts_of is not self.rows.all
        suspicious = self.rows.suspicious
        found = findings(self._facts, suspicious, self._sound, is_changed)
        panel = self.query_one(HealthPanel)
        panel.show(self._facts, list(found))
        panel.border_title = f"health · {len(suspicious)} ◀?" if suspicious else "health"
        panel.set_class(not self.rows.all, "-empty")

    def _show_problems(self, parsed: list[Parsed]) -> None:
        problems = [problem for one in parsed for problem in one.problems]
        notes = [note for one in parsed for note in one.notes]
        shown = [safe(problem, 300) for problem in problems[:PROBLEMS]]
        if len(problems) > len(shown):
            shown.append(Content(f"and {len(problems) - len(shown):,} more"))
        shown += [safe(note, 300) for note in notes]
        place = self.query_one("#problems", Static)
        place.display = bool(shown)
        place.update(Content("\n").join(shown))

    def show_saved(self) -> None:
        """Show in the frame what is in no file."""
        self.show_count(self._read_words)

    @on(RowList.Seen)
    def _counted(self, message: RowList.Seen) -> None:
        message.stop()
        self.show_count(self._read_words)

    @on(RowList.Changed)
    def _edited(self, message: RowList.Changed) -> None:
        message.stop()
        self._changed()

    @on(TextArea.Changed, "#instruction")
    def _instructed(self, message: TextArea.Changed) -> None:
        message.stop()
        self.show_count(self._read_words)
        self.post_message(self.Changed())

    def _changed(self) -> None:
        """Tell that there are other rows, and look through them when there is time."""
        self.show_count("")
        self._sound = None
        self._show_health()
        if self._looking is not None:
            self._looking.stop()
        self._looking = self.set_timer(LOOK_AFTER, self._look)
        self.post_message(self.Changed())

    def _look(self) -> None:
        """Look through the rows in a thread, one at a time: a thread cannot be called back."""
        rows = self.rows.all
        if self._is_looking:
            return
        self._is_looking = True

        def work() -> None:
            self.post_message(self.Looked(rows, look_through(rows)))

        self.screen.run_worker(work, group="look", thread=True, exit_on_error=False)

    @on(Looked)
    def _looked(self, message: Looked) -> None:
        message.stop()
        self._is_looking = False
        if message.rows is self.rows.all:
            self._sound = message.found
            self._show_health()
        else:
            self._look()

    def looking_failed(self) -> None:
        """Look again after the next change."""
        self._is_looking = False

    # What comes from elsewhere

    def action_text(self) -> None:
        """Show all rows as text, and read what becomes of it."""

        def keep(text: str | None) -> None:
            if text is not None:
                self._take(Coming("replace", (text,)))

        self.app.push_screen(RowsTextScreen(as_text([row.example for row in self.rows.all])), keep)

    def action_open_set(self) -> None:
        """Choose a set; ask first where rows are in no file."""

        def open(name: str | None) -> None:
            if name is not None:
                self._take(Coming("open", (name,)))

        def choose(yes: bool | None) -> None:
            if yes:
                self.app.push_screen(SetScreen(self.set_name, saves=False), open)

        if lost := self.unsaved():
            question = Content(f"Open another set? {' and '.join(lost)} would be lost.")
            self.app.push_screen(ConfirmScreen(question, "Open"), choose)
        else:
            choose(True)
