"""Prompt: paste demonstrations, ask, and read the answer as it comes."""

from time import monotonic
from typing import Any, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.css.query import QueryType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Footer, Select, Static, TextArea

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.prompting.held import Held, Model, Offer
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.quantities import duration, plural

from ..shared.confirm import ConfirmScreen
from ..shared.meter import Meter
from ..shared.places import Places
from ..shared.recovery import Recovering
from ..shared.words import MUTED, safe
from .asking import ask
from .demonstrations import Demonstrations
from .fields import QueryField
from .models import choices, model_of, value_of
from .pasted import facts_of, shots_of
from .rows import Row
from .save import SaveScreen
from .transcript import Exchange, Transcript

NOTHING_ASKED = Content.assemble(
    ("Nothing asked yet.\n\n", "bold"),
    "1. Paste demonstrations: they go to the left.\n",
    "2. Press ", ("enter", "bold $text-accent"), ", write a question, and press it again.\n\n",
    "The model learns the task from the demonstrations alone; ",
    ("b", "bold $text-accent"), " (outside a text field) changes between base model and adapter.",
)  # fmt: skip

Asked = tuple[Model | None, tuple[Row, ...], str, bool]  # who, of what, all that fit


class PromptScreen(Recovering):
    """Demonstrations on the left, questions and answers on the right."""

    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = ""  # the keys of the places and of this one work at once; a paste finds its way
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "write", "Write", id="prompt.write"),
        Binding("f4", "write", "Write", id="prompt.question", show=False, priority=True),
        Binding("e", "edit", "Edit", id="prompt.edit"),
        Binding("b,ctrl+t", "toggle_adapter", "Adapter", id="prompt.adapter"),
        Binding("ctrl+s", "save", "Save", id="prompt.save"),
        Binding("escape", "back", "Back", id="prompt.back", priority=True),
        Binding("a", "all_shots", "All shots", id="prompt.all", show=False),
        Binding("ctrl+up", "recall", "Last question", id="prompt.recall", show=False),
        Binding("pageup", "page(-1)", "Earlier", id="prompt.earlier", show=False),
        Binding("pagedown", "page(1)", "Later", id="prompt.later", show=False),
        Binding("ctrl+l", "clear", "Clear answers", id="prompt.clear", show=False),
    ]

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

    def __init__(self, client: SessionClient | None = None) -> None:
        super().__init__()
        self._held = Held(client or SessionClient())
        self._use_adapter, self._all_shots = True, False
        self._current: Exchange | None = None  # the question that is being answered
        self._cancelling = False
        self._stage, self._stage_since = "", 0.0
        self._asked: Asked = (None, (), "", False)
        self._facts: dict[str, Any] = {}  # what the session chose and read of what was asked last

    def compose(self) -> ComposeResult:
        """Lay out the model, the demonstrations, the answers and the question."""
        yield Places("prompt")
        with Horizontal(id="model"):
            yield Select[str]([], prompt="choose a run or a base model", compact=True)
            yield Static(id="who")
            yield Meter(id="state")
        yield Static(id="read")
        with Horizontal(id="work"):
            yield Demonstrations()
            with Vertical(id="right"):
                yield Transcript(NOTHING_ASKED)
                yield QueryField("a new input, without its answer", id="query")
        yield Footer()

    def on_mount(self) -> None:
        """Name the fields, and tell once a second how long the model takes."""
        self.query_one("#query").border_title = "Question"
        self.query_one("#query").border_subtitle = "enter leads here"
        self.query_one("#read").display = False
        self.set_interval(1, self._show_stage)
        self._show_who()

    def on_screen_resume(self) -> None:
        """Offer the runs there are now."""
        self._offer()

    def _offer(self) -> dict[str, str]:
        select = self.query_one(Select)
        chosen = select.value
        offered = choices()
        select.set_options([(Content(words), value) for value, words in offered.items()])
        if isinstance(chosen, str) and chosen in offered:
            select.value = chosen
        elif offered:
            select.value = next(iter(offered))
            if isinstance(chosen, str):
                gone, now = chosen.partition(":")[2], offered[str(select.value)]
                self._warn(f"{gone} is gone; chosen is {now}")
        return offered

    def on_unmount(self) -> None:
        """End the session with the app; one at work is not waited for."""
        if self._current is not None:
            self._held.kill()
        self._held.client.close()

    @property
    def is_idle(self) -> bool:
        """Tell whether no question is being answered."""
        return self._current is None

    def choose(self, run: Run) -> None:
        """Let this run's adapter answer."""
        self._use_adapter = True
        if value_of(run) in self._offer():
            self.query_one(Select).value = value_of(run)
        else:
            self._warn(f"{run.run_id} has no adapter")
        self._show_who()

    @on(Select.Changed)
    def _chosen(self) -> None:
        self._show_who()
        model = self._now()[0]
        self.query_one(Demonstrations).read_as(model.run if model else None)

    def on_paste(self, event: events.Paste) -> None:
        """Take what is pasted outside a field for demonstrations."""
        if not isinstance(self.focused, TextArea):
            self.query_one(Demonstrations).paste(event.text)

    def on_descendant_focus(self) -> None:
        """Tell what enter does now."""
        asks = isinstance(self.focused, QueryField)
        self.query_one("#query").border_subtitle = "enter asks" if asks else "enter leads here"

    on_descendant_blur = on_descendant_focus

    def focus_next(self, selector: str | type[QueryType] = "*") -> Widget | None:
        """Begin at the demonstrations, not at the list of models."""
        if self.focused is None:
            self.action_edit()
            return self.focused
        return super().focus_next(selector)

    def _now(self) -> Asked:
        """Return what a question would be about."""
        model = model_of(self.query_one(Select).value, self._use_adapter)
        shown = self.query_one(Demonstrations)
        return model, shown.rows.all, shown.instruction, self._all_shots

    @on(Demonstrations.Changed)
    def _show_counts(self) -> None:
        """Say how many demonstrations the model has read, and what else there is to say of them."""
        is_read = bool(self._facts) and self._asked == self._now()
        self.query_one(Demonstrations).show_count(shots_of(self._facts) if is_read else "")
        read = self.query_one("#read", Static)
        read.update(safe(facts_of(self._facts)) if is_read else "")
        read.display = is_read

    @on(QueryField.Asked)
    async def _ask(self) -> None:
        """Ask what is written, of the model that is chosen."""
        field = self.query_one(QueryField)
        asked = self._now()
        model = asked[0]
        if self._current is not None or not field.text.strip():
            return
        if model is None:
            self._warn("choose a run or a base model first")
            return
        transcript = self.query_one(Transcript)
        who = "adapter" if model.is_adapted else "base model"
        name = model.run or model.model or ""
        self._current, self._cancelling = Exchange(field.text, who, name), False
        await transcript.add(self._current)
        field.text = ""
        if self._asked != asked:
            self._facts = {}
        self._asked = asked
        self._answer(model, self.query_one(Demonstrations), self._current.question)

    @work(thread=True, exclusive=True, exit_on_error=False, group="answer")
    def _answer(self, model: Model, shown: Demonstrations, query: str) -> None:
        def hear(method: str, params: dict[str, Any]) -> None:
            self.post_message(self.Heard(method, params))

        try:
            shown.wait()
            self._asked = self._now()
            examples = tuple(shown.examples)
            offer = Offer(examples, shown.instruction, "all" if self._all_shots else None)
            result = ask(self._held, model, offer, query, hear)
        except YofoError as error:
            self.post_message(self.Failed(error))
        else:
            self.post_message(self.Answered(result))

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        if self._current is None:
            return
        params = message.params
        if message.method == "token":
            self._current.stream(str(params.get("text", "")))
            self.query_one(Transcript).follow()
        elif message.method in ("chosen", "read"):
            self._facts = params
            self._show_counts()
        elif message.method == "progress":
            self._show_progress(params)
        elif message.method == "stage":
            self._stage, self._stage_since = str(params["words"]), monotonic()
            self._show_stage()
        elif message.method == "warning":
            self._warn(str(params["words"]))

    def _show_progress(self, params: dict[str, Any]) -> None:
        done, total, left = (params.get(name) for name in ("done", "total", "seconds_left"))
        if self._cancelling or not (isinstance(done, int) and isinstance(total, int) and total):
            return
        self._stage = ""
        after = f"{done:,}/{total:,}" + (f" · {duration(left)} left" if left else "")
        self.query_one("#state", Meter).show(done / total, "reading", after)

    def _show_stage(self) -> None:
        """Say what the model is at, and for how long if that is no progress."""
        if self._current is not None and self._stage:
            took = monotonic() - self._stage_since
            words = f"{self._stage} …" + (f" {duration(took)}" if took >= 1 else "")
            self.query_one("#state", Meter).show(None, words)

    @on(Answered)
    def _answered(self, message: Answered) -> None:
        if self._current is not None:
            self._current.finish(message.result)
        self._end()

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        if self._current is not None:
            style = "$text-warning" if isinstance(message.error, Cancelled) else "$text-error"
            said = [safe(message.error.message).stylize(style), safe(message.error.hint)]
            self._current.fail(Content("\n").join(part for part in said if part.plain))
            field = self.query_one(QueryField)
            field.text = field.text or self._current.question
        self._end()

    def recover(self, group: str, words: str) -> None:
        """Let the next question be asked, and the next change be read."""
        if group == "answer":
            self.post_message(self.Failed(YofoError(words, "ask again")))
        elif group == "parse":
            self.query_one(Demonstrations).parsing_failed()

    def _end(self) -> None:
        self._current = None
        self._stage = ""
        if not self._held.client.is_alive:
            self._facts = {}
        self.query_one(Transcript).follow()
        self.query_one("#state", Meter).show(None, "")
        self._show_counts()
        self.refresh_bindings()

    def action_back(self) -> None:
        """Cancel the answer, end a model that does not hear; without either, leave the field."""
        if self._current is not None and not self._cancelling:
            self._cancelling = True
            self._stage, self._stage_since = "cancelling, escape again ends the model", monotonic()
            self._show_stage()
            self._cancel()
        elif self._current is not None:
            self._held.kill()
        elif self.query_one(Select).expanded:
            self.query_one(Select).expanded = False
        elif not self.query_one(Demonstrations).row_list.close_filter():
            self.set_focus(None)

    @work(thread=True, exit_on_error=False, group="cancel")
    def _cancel(self) -> None:
        self._held.cancel()

    def action_write(self) -> None:
        """Go to the question."""
        self.set_focus(self.query_one(QueryField))

    def action_edit(self) -> None:
        """Go to the demonstrations."""
        self.set_focus(self.query_one(Demonstrations).table)

    def unsaved(self) -> str | None:
        """Say what quitting would lose."""
        lost = self.query_one(Demonstrations).unsaved()
        if answers := self.query_one(Transcript).unsaved:
            lost.append(plural(answers, "answer"))
        return f"{', '.join(lost)} (ctrl+s in Prompt saves)" if lost else None

    def action_save(self) -> None:
        """Save demonstrations and answers."""

        def tell(saved: list[str] | None) -> None:
            for words in saved or ():
                self.notify(safe(words).plain, title="Saved", markup=False)

        kept = [self.query_one(Demonstrations).to_save(), self.query_one(Transcript).to_save()]
        if found := [one for one in kept if one is not None]:
            self.app.push_screen(SaveScreen(found), tell)
        else:
            self._warn("nothing to save: there are no demonstrations and no answers")

    def action_toggle_adapter(self) -> None:
        """Change between the run's adapter and its base model."""
        self._use_adapter = not self._use_adapter
        self._show_who()
        self._show_counts()

    def action_all_shots(self) -> None:
        """Change between all demonstrations that fit and as many as the model was trained on."""
        self._all_shots = not self._all_shots
        self._show_who()
        self._show_counts()

    def action_page(self, pages: int) -> None:
        """Leaf through the answers."""
        answers = self.query_one(Transcript)
        answers.scroll_relative(y=pages * max(1, answers.size.height - 2), animate=False)

    def action_recall(self) -> None:
        """Put the last question back into its field."""
        if said := self.query_one(Transcript).exchanges:
            self.query_one(QueryField).text = said[-1].question

    def action_clear(self) -> None:
        """Forget the answers shown; ask first where they are in no file."""
        if self._current is not None:
            return
        if not (lost := self.query_one(Transcript).unsaved):
            self._clear(True)
            return
        question = Content(f"Clear the answers? {plural(lost, 'answer')} would be lost.")
        self.app.push_screen(ConfirmScreen(question, "Clear"), self._clear)

    def _clear(self, yes: bool | None) -> None:
        if yes:
            self.run_worker(self.query_one(Transcript).forget())

    def _warn(self, words: str) -> None:
        self.notify(safe(words).plain, severity="warning", markup=False)

    def _show_who(self) -> None:
        model = model_of(self.query_one(Select).value, self._use_adapter)
        adapter = model is not None and model.is_adapted
        mark = ("● adapter", "$text-success") if adapter else ("○ base model", MUTED)
        shots = " · all that fit" if self._all_shots else ""
        self.query_one("#who", Static).update(Content.assemble(mark, (shots, MUTED)))
