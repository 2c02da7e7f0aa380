"""What stands before every question: demonstrations as they are pasted, and an instruction."""

from typing import Any, Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static, TextArea

from yofo_mlx.prompting.demonstrations import Parsed
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.task import Example

from ..shared.words import safe
from .fields import TextField
from .pasted import Unsaved, parse, saved_demonstrations, separator_of

PARSE_AFTER: Final = 0.15  # seconds without a change
PLACEHOLDER: Final = (
    "Paste labelled examples, such as\n\n"
    "my card is gone -> lost_card\nwhere is my PIN? -> get_pin\n\n"
    "(or tab, CSV, JSONL, or Input:/Output: pairs)"
)


class DemonstrationsField(Vertical):
    """Two fields and what was understood of them."""

    class Changed(Message):
        """Another text stands there, or more is understood of it."""

    class Understood(Message):
        """A text was parsed as the demonstrations of a run."""

        def __init__(self, text: str, run: str | None, parsed: Parsed) -> None:
            super().__init__()
            self.text, self.run, self.parsed = text, run, parsed

    def __init__(self) -> None:
        super().__init__(id="left")
        self._run: str | None = None
        self._timer: Timer | None = None
        self._is_parsing = self._is_late = False
        self._understood = self.Understood("", None, parse("", None))
        self._saved = ("", "")  # the text and the instruction that are in a file

    def compose(self) -> ComposeResult:
        """Lay the fields out, and between them what is wrong."""
        yield TextField(PLACEHOLDER, id="demonstrations")
        yield Static(id="problems")
        yield TextField("none; for example: Name the intent.", id="instruction")

    def on_mount(self) -> None:
        """Name the fields."""
        self.query_one("#instruction").border_title = "Instruction"
        self.query_one("#problems").display = False
        self.show_count("")

    @property
    def field(self) -> TextField:
        """Return the field of the demonstrations."""
        return self.query_one("#demonstrations", TextField)

    @property
    def instruction(self) -> str:
        """Return the instruction that is written."""
        return self.query_one("#instruction", TextField).text.strip()

    @property
    def examples(self) -> list[Example]:
        """Return the demonstrations."""
        return list((self.parsed(self._run) or parse(self.field.text, self._run)).examples)

    def wait(self) -> None:
        """Block until all is read."""

    def show_health(self, facts: dict[str, Any]) -> None:
        """Show what the model thinks of them."""

    def take(self, text: str) -> None:
        """Append what is pasted elsewhere."""
        self.field.append(text)

    def parsed(self, run: str | None) -> Parsed | None:
        """Return what stands there as the run's demonstrations, if it is parsed already."""
        known = self._understood
        return known.parsed if (known.text, known.run) == (self.field.text, run) else None

    @on(TextArea.Changed, "#demonstrations")
    def _edited(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PARSE_AFTER, self._parse)
        self.post_message(self.Changed())

    @on(TextArea.Changed, "#instruction")
    def _instructed(self) -> None:
        self.post_message(self.Changed())

    def read_as(self, run: str | None) -> None:
        """Read them as those of a run."""
        self._run = run
        self._parse()

    def _parse(self) -> None:
        """Parse in a thread, one text at a time: a thread cannot be called back."""
        self._is_late = self._is_parsing
        if self._is_parsing:
            return
        self._is_parsing = True
        text, run = self.field.text, self._run
        self.screen.run_worker(
            lambda: self.post_message(self.Understood(text, run, parse(text, run))),
            group="parse",
            thread=True,
            exit_on_error=False,
        )

    def parsing_failed(self) -> None:
        """Be ready for the next text."""
        self._is_parsing = False

    def on_demonstrations_field_understood(self, message: Understood) -> None:
        """Show what was made of the text."""
        message.stop()
        self._is_parsing, self._understood = False, message
        self._show_problems(message.parsed)
        self.field.mark_answers(separator_of(message.parsed))
        self.post_message(self.Changed())
        if self._is_late:
            self._parse()

    def show_count(self, read: str) -> None:
        """Show how many the model has read, in these words; of others, that it has not."""
        parsed = self._understood.parsed
        found = plural(len(parsed.examples), "demonstration") if parsed.examples else ""
        self.field.border_title = read or found or "Demonstrations"
        unread = f"not read yet · {parsed.format}" if found else ""
        self.field.border_subtitle = parsed.format if read else unread

    def _show_problems(self, parsed: Parsed) -> None:
        problems = self.query_one("#problems", Static)
        problems.display = bool(parsed.problems or parsed.notes)
        shown = [safe(problem, 300) for problem in parsed.problems[:3]]
        if len(parsed.problems) > len(shown):
            shown.append(Content(f"and {len(parsed.problems) - len(shown):,} more"))
        shown += [safe(note, 300) for note in parsed.notes]
        problems.update(Content("\n").join(shown))

    def unsaved(self) -> list[str]:
        """Name what is in no file."""
        text, instruction = self.field.text, self.instruction
        lost = ["the demonstrations"] if text.strip() and text != self._saved[0] else []
        return lost + (["the instruction"] if instruction not in ("", self._saved[1]) else [])

    def to_save(self) -> Unsaved | None:
        """Return what a file would hold."""
        now = (self.field.text, self.instruction)
        parsed = self.parsed(self._run) or parse(now[0], self._run)
        if not parsed.examples:
            return None
        return saved_demonstrations(parsed, now[1], lambda: setattr(self, "_saved", now))
