"""Prompt: paste demonstrations, ask, and read the answer as it comes."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Footer, Select, Static, TextArea

from tui.conversation import Context, Conversation, Session, Target, session_process
from tui.models import choices, target_of, value_of
from tui.screens.recovery import Recovering
from tui.widgets.meter import Meter
from tui.widgets.places import Places
from tui.widgets.text_field import QueryField, TextField
from tui.widgets.transcript import Exchange, Transcript
from tui.words import MUTED, count, safe
from yofo_mlx.errors import YofoError
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.demonstrations import Parsed
from yofo_mlx.prompting.protocol import Cancelled
from yofo_mlx.runs import Run

PARSE_AFTER: Final = 0.15  # seconds without a change
MAX_TOKENS: Final = 256
PLACEHOLDER: Final = (
    "Paste labelled examples, such as\n\n"
    "my card is gone\tlost_card\nwhere is my PIN?\tget_pin\n\n"
    "(tab, CSV, JSONL, or Input:/Output: pairs)"
)
NOTHING_ASKED = Content.assemble(
    ("Nothing asked yet.\n\n", "bold"),
    "1. Paste demonstrations on the left.\n",
    "2. Write a question below and press enter.\n\n",
    "The model learns the task from the demonstrations alone; ",
    ("b", "bold $text-accent"), " (outside a text field) changes between base model and adapter.",
)  # fmt: skip


class PromptScreen(Recovering):
    """Demonstrations on the left, questions and answers on the right."""

    CSS_PATH = "prompt.tcss"
    AUTO_FOCUS = "#demonstrations"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Cancel or leave", id="prompt.back", priority=True),
        Binding("b,ctrl+t", "toggle_adapter", "Base/adapter", id="prompt.adapter"),
        Binding("ctrl+up", "recall", "Last question", id="prompt.recall", show=False),
        Binding("pageup", "page(-1)", "Earlier", id="prompt.earlier", show=False),
        Binding("pagedown", "page(1)", "Later", id="prompt.later", show=False),
        Binding("ctrl+l", "clear", "Clear answers", id="prompt.clear", show=False),
    ]

    class Understood(Message):
        """The pasted text was parsed."""

        def __init__(self, parsed: Parsed) -> None:
            super().__init__()
            self.parsed = parsed

    class Heard(Message):
        """A notification of the session, while a question is being answered."""

        def __init__(self, method: str, params: dict[str, Any]) -> None:
            super().__init__()
            self.method, self.params = method, params

    class Answered(Message):
        """The answer is complete."""

        def __init__(self, result: dict[str, Any]) -> None:
            super().__init__()
            self.result = result

    class Failed(Message):
        """There is no answer, or only half of one."""

        def __init__(self, error: YofoError) -> None:
            super().__init__()
            self.error = error

    def __init__(self, make_session: Callable[[], Session] = session_process) -> None:
        super().__init__()
        self._conversation = Conversation(make_session)
        self._use_adapter = True
        self._current: Exchange | None = None  # the question that is being answered
        self._parse_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay out the model, the demonstrations, the answers and the question."""
        yield Places("prompt")
        with Horizontal(id="model"):
            yield Select[str]([], prompt="choose a run or a base model", compact=True)
            yield Static(id="who")
            yield Meter(id="state")
        with Horizontal(id="work"):
            with Vertical(id="left"):
                yield TextField(PLACEHOLDER, id="demonstrations")
                yield Static(id="problems")
                yield TextField("none; for example: Name the intent.", id="instruction")
            with Vertical(id="right"):
                yield Transcript(NOTHING_ASKED)
                yield QueryField("a new input, without its answer", id="query")
        yield Footer()

    def on_mount(self) -> None:
        """Name the fields."""
        self.query_one("#instruction").border_title = "Instruction"
        self.query_one("#query").border_title = "Question"
        self.query_one("#query").border_subtitle = "enter asks"
        self.query_one("#demonstrations").border_title = "Demonstrations"
        self.query_one("#problems").display = False
        self._show_who()

    def on_screen_resume(self) -> None:
        """Offer the runs there are now."""
        self._offer()

    def _offer(self) -> None:
        select = self.query_one(Select)
        chosen = select.value
        offered = choices()
        select.set_options([(Content(words), value) for value, words in offered.items()])
        if isinstance(chosen, str) and chosen in offered:
            select.value = chosen
        elif offered:
            select.value = next(iter(offered))

    def on_unmount(self) -> None:
        """End the session with the app."""
        self._conversation.close()

    @property
    def is_idle(self) -> bool:
        """Tell whether no question is being answered."""
        return self._current is None

    def choose(self, run: Run) -> None:
        """Let this run's adapter answer."""
        self._use_adapter = True
        self._offer()
        self.query_one(Select).value = value_of(run)
        self._show_who()

    @on(Select.Changed)
    def _chosen(self) -> None:
        self._show_who()
        self._parse_soon()

    @on(TextArea.Changed, "#demonstrations")
    def _changed(self) -> None:
        if self._parse_timer is not None:
            self._parse_timer.stop()
        self._parse_timer = self.set_timer(PARSE_AFTER, self._parse_soon)

    def _parse_soon(self) -> None:
        target = target_of(self.query_one(Select).value, self._use_adapter)
        text = self.query_one("#demonstrations", TextField).text
        self._parse(text, target.run if target else None)

    @work(thread=True, exclusive=True, exit_on_error=False, group="parse")
    def _parse(self, text: str, run: str | None) -> None:
        self.post_message(self.Understood(_parsed(text, run)))

    @on(Understood)
    def _understood(self, message: Understood) -> None:
        self._show_parsed(message.parsed)

    def _show_parsed(self, parsed: Parsed) -> None:
        field = self.query_one("#demonstrations", TextField)
        found = count(len(parsed.examples), "demonstration")
        field.border_title = found if parsed.examples else "Demonstrations"
        field.border_subtitle = parsed.format if parsed.examples else ""
        problems = self.query_one("#problems", Static)
        problems.display = bool(parsed.problems or parsed.notes)
        shown = [safe(problem, 300) for problem in parsed.problems[:3]]
        if len(parsed.problems) > len(shown):
            shown.append(Content(f"and {len(parsed.problems) - len(shown)} more"))
        shown += [safe(note, 300) for note in parsed.notes]
        problems.update(Content("\n").join(shown))

    @on(QueryField.Asked)
    async def _ask(self) -> None:
        """Ask what is written, of the model that is chosen."""
        field = self.query_one(QueryField)
        target = target_of(self.query_one(Select).value, self._use_adapter)
        if self._current is not None or not field.text.strip():
            return
        if target is None:
            self.notify("choose a run or a base model first", severity="warning", markup=False)
            return
        transcript = self.query_one(Transcript)
        who = "adapter" if self._is_adapter(target) else "base model"
        self._current = Exchange(field.text, who, target.name)
        await transcript.add(self._current)
        field.text = ""
        pasted = self.query_one("#demonstrations", TextField).text
        instruction = self.query_one("#instruction", TextField).text.strip()
        self._answer(target, pasted, instruction, self._current.question)

    @work(thread=True, exclusive=True, exit_on_error=False, group="answer")
    def _answer(self, target: Target, pasted: str, instruction: str, query: str) -> None:
        def hear(method: str, params: dict[str, Any]) -> None:
            self.post_message(self.Heard(method, params))

        try:
            parsed = _parsed(pasted, target.run)
            context = Context(parsed.examples, instruction or parsed.instruction)
            result = self._conversation.ask(target, context, query, MAX_TOKENS, hear)
        except YofoError as error:
            self.post_message(self.Failed(error))
        except OSError as error:
            self.post_message(self.Failed(YofoError(f"no session: {error}", "ask again")))
        else:
            self.post_message(self.Answered(result))

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        if self._current is None:
            return
        state, params = self.query_one("#state", Meter), message.params
        if message.method == "token":
            self._current.stream(str(params.get("text", "")))
            self.query_one(Transcript).follow()
        elif message.method == "progress" and params.get("total"):
            done, total = params.get("done", 0), params["total"]
            state.show(done / total, "reading", f"{done}/{total}")
        elif message.method == "stage":
            state.show(None, f"{params['words']} …")
        elif message.method == "warning":
            self.notify(safe(params["words"]).plain, severity="warning", markup=False)

    @on(Answered)
    def _answered(self, message: Answered) -> None:
        if self._current is not None:
            self._current.finish(message.result)
        self._end()

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        exchange = self._current
        if exchange is not None and isinstance(message.error, Cancelled):
            exchange.fail(Content.styled("cancelled", "$text-warning"))
            field = self.query_one(QueryField)
            field.text = field.text or exchange.question
        elif exchange is not None:
            error = message.error
            again = "" if self._conversation.is_alive else "ask again to restart; "
            said = [safe(error.message).stylize("$text-error"), safe(again + error.hint)]
            exchange.fail(Content("\n").join(part for part in said if part.plain))
        self._end()

    def recover(self, group: str, words: str) -> None:
        """Let the next question be asked."""
        if group == "answer":
            self.post_message(self.Failed(YofoError(words, "ask again")))

    def _end(self) -> None:
        self._current = None
        self.query_one(Transcript).follow()
        self.query_one("#state", Meter).show(None, _facts(self._conversation.facts))
        self.refresh_bindings()

    def action_back(self) -> None:
        """Cancel the answer; without one, leave the text field."""
        if self._current is not None:
            self._conversation.cancel()
            self.query_one("#state", Meter).show(None, "cancelling …")
        elif self.query_one(Select).expanded:
            self.query_one(Select).expanded = False
        else:
            self.set_focus(None)

    def action_toggle_adapter(self) -> None:
        """Change between the run's adapter and its base model."""
        self._use_adapter = not self._use_adapter
        self._show_who()

    def action_page(self, pages: int) -> None:
        """Leaf through the answers."""
        answers = self.query_one(Transcript)
        answers.scroll_relative(y=pages * max(1, answers.size.height - 2), animate=False)

    def action_recall(self) -> None:
        """Put the last question back into its field."""
        if said := self.query_one(Transcript).exchanges:
            self.query_one(QueryField).text = said[-1].question

    async def action_clear(self) -> None:
        """Forget the answers shown."""
        if self._current is None:
            await self.query_one(Transcript).forget()

    def _show_who(self) -> None:
        target = target_of(self.query_one(Select).value, self._use_adapter)
        adapter = target is not None and self._is_adapter(target)
        mark = ("● adapter", "$text-success") if adapter else ("○ base model", MUTED)
        self.query_one("#who", Static).update(Content.assemble(mark))

    def _is_adapter(self, target: Target) -> bool:
        return target.run is not None and target.use_adapter


def _parsed(text: str, run: str | None) -> Parsed:
    """Read pasted demonstrations as the run was trained; as they look where that is not known."""
    try:
        style = demonstrations.style_of(run)
    except YofoError:
        style = None
    return demonstrations.parse(text, style)


def _facts(facts: dict[str, Any]) -> str:
    """Say what the session has read."""
    shots, tokens = facts.get("shots"), facts.get("tokens")
    if not isinstance(shots, int) or not isinstance(tokens, int):
        return ""
    said = [count(shots, "shot"), count(tokens, "token")]
    if reused := facts.get("reused_tokens"):
        said.append(f"{reused:,} reused")
    if left_out := facts.get("left_out"):
        said.append(f"{left_out} left out: too long")
    if note := facts.get("note"):
        said.append(safe(note, 200).plain)
    return " · ".join(said)
