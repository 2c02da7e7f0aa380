"""Prompt: paste demonstrations, ask, and compare the answers as they come."""

from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.css.query import QueryType
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from yofo_mlx.errors import YofoError
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.quantities import plural

from ..shared.confirm import ConfirmScreen
from ..shared.key_line import KeyLine
from ..shared.places import Places
from ..shared.words import MUTED, safe
from .demonstrations import Demonstrations
from .fields import QuestionField
from .gauge import ContextGauge
from .head import ModelBar
from .models import Adapter, brought, value_of
from .pasted import facts_of, shots_of
from .questions import lines_of, read
from .save import SaveScreen
from .sitting import Sitting
from .transcript import Transcript

NOTHING_ASKED = Content.assemble(
    ("Nothing asked yet.\n\n", "bold"),
    "1. Paste demonstrations, with nothing in focus.\n",
    "2. Press ", ("enter", "bold $text-accent"), ", write a question, and press it again.\n\n",
    "The model learns the task from the demonstrations alone; ",
    ("ctrl+b", "bold $text-accent"), " lets the base model answer beside the adapter.",
)  # fmt: skip


class PromptScreen(Sitting):
    """Demonstrations on the left, answers on the right, the question below."""

    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = ""  # the keys of the places and of this one work at once; a paste finds its way
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "write", "Write", id="prompt.write"),
        Binding("f4", "write", "Write", id="prompt.question", show=False, priority=True),
        Binding("e", "edit", "Edit", id="prompt.edit"),
        Binding("b,ctrl+b", "beside", "Beside", id="prompt.beside"),
        Binding("ctrl+t", "toggle_adapter", "Adapter/base", id="prompt.adapter", show=False),
        Binding("ctrl+g", "labels", "Labels", id="prompt.labels"),
        Binding("ctrl+s", "save", "Save", id="prompt.save"),
        Binding("i", "rows('insert')", "Write a row", id="prompt.insert", show=False),
        Binding("O", "rows('open_set')", "Open a set", id="prompt.open_set", show=False),
        Binding("S", "rows('save_set')", "Save as a set", id="prompt.save_set", show=False),
        Binding("h", "rows('health')", "Health", id="prompt.health", show=False),
        Binding("f5", "read", "Read", id="prompt.read"),
        Binding("y", "copy", "Copy", id="prompt.copy"),
        Binding("escape", "back", "Back", id="prompt.back", priority=True),
        Binding("a", "all_shots", "All shots", id="prompt.all", show=False),
        Binding("ctrl+up", "recall", "Last question", id="prompt.recall", show=False),
        Binding("left_square_bracket", "pane(-1)", "Pane before", id="prompt.before", show=False),
        Binding("right_square_bracket", "pane(1)", "Next pane", id="prompt.next", show=False),
        Binding("pageup", "page(-1)", "Earlier", id="prompt.earlier", show=False),
        Binding("pagedown", "page(1)", "Later", id="prompt.later", show=False),
        Binding("ctrl+l", "clear", "Clear answers", id="prompt.clear", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the model, its context, the demonstrations, the answers and the question."""
        yield Places("prompt")
        yield ModelBar()
        yield ContextGauge(id="state")
        yield Static(id="read")
        yield Static(id="panes")
        with Horizontal(id="work"):
            yield Demonstrations()
            yield Transcript(NOTHING_ASKED)
        yield QuestionField("a new input, without its answer", id="query")
        yield KeyLine()

    def on_mount(self) -> None:
        """Name the fields."""
        self.query_one("#query").border_title = "Question"
        self.query_one("#read").display = False
        if self.app.choices.get("prompt", "beside", False):  # type: ignore[attr-defined]
            self.query_one(ModelBar).toggle_beside()
        self._show_pane("answers")
        self._show_what_enter_does()

    def on_screen_resume(self) -> None:
        """Offer the runs there are now."""
        self.query_one(ModelBar).offer()

    @on(ModelBar.Gone)
    def _gone(self, message: ModelBar.Gone) -> None:
        self.warn(message.words)

    def choose(self, run: Run) -> None:
        """Let this run's adapter answer."""
        if not self.query_one(ModelBar).choose(value_of(run)):
            self.warn(f"{run.run_id} has no adapter")

    def choose_model(self, name: str) -> None:
        """Let this base model answer."""
        self.query_one(ModelBar).choose_model(name)

    def on_paste(self, event: events.Paste) -> None:
        """Take what is pasted outside a field for demonstrations."""
        if isinstance(self.focused, TextArea | Input):
            return
        if who := brought(event.text):
            self._let_answer(who)
        else:
            self._show_pane("demonstrations")
            self.query_one(Demonstrations).paste(event.text)

    def on_descendant_focus(self) -> None:
        """Show the pane in which one is, and what enter does now."""
        there = self.focused.ancestors_with_self if self.focused else []
        if any(isinstance(one, Demonstrations) for one in there):
            self._show_pane("demonstrations")
        elif any(isinstance(one, Transcript) for one in there):
            self._show_pane("answers")
        self._show_what_enter_does()

    def on_descendant_blur(self) -> None:
        """Tell what enter does now."""
        self._show_what_enter_does()

    @on(TextArea.Changed, "#query")
    def _show_what_enter_does(self) -> None:
        field = self.query_one(QuestionField)
        lines = len(lines_of(field.text)) if "\n" in field.text else 1
        says = "enter leads here"
        if self.focused is field:
            who = "both" if (model := self.query_one(ModelBar).model) and model.beside else ""
            says = f"enter asks {who}".strip()
            says += f" as one · ctrl+n each of {lines:,} lines" if lines > 1 else ""
        if self._waiting:
            says = f"{len(self._waiting):,} more to ask · esc stops"
        field.border_subtitle = says

    def focus_next(self, selector: str | type[QueryType] = "*") -> Widget | None:
        """Begin at the demonstrations, not at the list of models."""
        if self.focused is None:
            self.action_edit()
            return self.focused
        return super().focus_next(selector)

    def _changed_facts(self) -> None:
        """Say how many demonstrations the model has read, and what else there is to say of them."""
        super()._changed_facts()
        is_read = self.is_read
        self.query_one(Demonstrations).show_count(shots_of(self._facts) if is_read else "")
        said = facts_of(self._facts) if is_read else ""
        line = self.query_one("#read", Static)
        line.update(safe(said))
        line.tooltip = said or None
        line.display = bool(said)
        self._show_what_enter_does()
        self._show_pane("answers" if self.has_class("-answers") else "demonstrations")

    @on(QuestionField.Asked)
    async def _asked(self, message: QuestionField.Asked) -> None:
        field = self.query_one(QuestionField)
        asked = lines_of(field.text) if message.each else [field.text]
        if self.is_idle and field.text.strip() and self.query_one(ModelBar).model is not None:
            field.text = ""
        await self.ask([one for one in asked if one.strip()])
        self._show_pane("answers")

    @on(QuestionField.Brought)
    def _brought(self, message: QuestionField.Brought) -> None:
        self._let_answer(message.who)

    def _let_answer(self, who: Adapter | str) -> None:
        models = self.query_one(ModelBar)
        if isinstance(who, str):
            models.choose_model(who)
        elif not models.choose_adapter(who):
            self.warn(f"{who.folder.name} does not say of which model it is: drop that model first")

    @on(QuestionField.Dropped)
    def _dropped(self, message: QuestionField.Dropped) -> None:
        self._look_at(message.path)

    @work(thread=True, exit_on_error=False, group="questions")
    def _look_at(self, path: Path) -> None:
        try:
            found = read(path)
        except YofoError as error:
            self.app.call_from_thread(self.warn, f"{error.message}: {error.hint}")
        else:
            self.app.call_from_thread(self._ask_all, path, found)

    def _ask_all(self, path: Path, found: list[str]) -> None:
        async def go_on(yes: bool | None) -> None:
            if yes:
                await self.ask(found)
                self._show_pane("answers")

        question = Content(f"Ask {plural(len(found), 'question')} of {safe(path.name).plain}?")
        self.app.push_screen(ConfirmScreen(question, "Ask"), go_on)

    @on(QuestionField.Rows)
    def _rows_in_question(self, message: QuestionField.Rows) -> None:
        def go_on(yes: bool | None) -> None:
            if yes:
                self.query_one(Demonstrations).paste(message.text)
            elif yes is not None:
                self.query_one(QuestionField).insert(message.text)

        lines = plural(len(lines_of(message.text)), "line")
        question = Content(
            f"The {lines} look like demonstrations.\nAdd them to the demonstrations?"
        )
        self.app.push_screen(ConfirmScreen(question, "Add"), go_on)

    def recover(self, group: str, words: str) -> None:
        """Let the next text be parsed as well."""
        super().recover(group, words)
        if group == "parse":
            self.query_one(Demonstrations).parsing_failed()
        elif group == "look":
            self.query_one(Demonstrations).looking_failed()

    def action_back(self) -> None:
        """Cancel the answer, end a model that does not hear; without either, leave the field."""
        bar = self.query_one(ModelBar)
        if bar.is_open:
            bar.close()
        elif not self.is_idle or self.focused is None:
            self.give_up()
        elif not self.query_one(Demonstrations).row_list.close_filter():
            self.set_focus(None)

    def action_write(self) -> None:
        """Go to the question."""
        self.set_focus(self.query_one(QuestionField))

    def action_edit(self) -> None:
        """Go to the demonstrations."""
        self._show_pane("demonstrations")
        self.set_focus(self.query_one(Demonstrations).table)

    async def action_rows(self, action: str) -> None:
        """Do with the demonstrations what their own key does there."""
        self.action_edit()
        shown = self.query_one(Demonstrations)
        await (shown.row_list if action == "insert" else shown).run_action(action)

    def action_read(self) -> None:
        """Read the demonstrations now."""
        if not self.query_one(Demonstrations).examples:
            self.warn("there are no demonstrations to read: paste some")
        self._read_ahead(is_asked_for=True)

    def action_labels(self) -> None:
        """Compare the labels, or no longer."""
        shown = bool(self.labels())
        self._labels_wanted = not shown
        if not shown and not self.labels():
            self.warn("labels are compared where there are 2 to 200 different answers")
        self._changed()

    def action_copy(self) -> None:
        """Copy the answer that is chosen, else the newest."""
        self.query_one(Transcript).copy()

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
            self.warn("nothing to save: there are no demonstrations and no answers")

    def action_toggle_adapter(self) -> None:
        """Change between the run's adapter and its base model, alone."""
        self.query_one(ModelBar).toggle_adapter()

    def action_beside(self) -> None:
        """Let the base model answer beside the adapter, or no longer."""
        bar = self.query_one(ModelBar)
        if not bar.toggle_beside():
            self.warn("nobody can answer beside it: choose a run, whose base model then can")
            return
        has_beside = bool((model := bar.model) and model.beside)
        self.app.choices.keep("prompt", "beside", has_beside)  # type: ignore[attr-defined]

    def action_all_shots(self) -> None:
        """Change between all demonstrations that fit and as many as the model was trained on."""
        self.query_one(ModelBar).toggle_all()

    def action_page(self, pages: int) -> None:
        """Leaf through the answers."""
        answers = self.query_one(Transcript)
        answers.scroll_relative(y=pages * max(1, answers.size.height - 2), animate=False)

    @on(Transcript.Again)
    def _again(self, message: Transcript.Again) -> None:
        self.query_one(QuestionField).text = message.question
        self.action_write()

    def action_recall(self) -> None:
        """Put the last question back into its field."""
        if said := self.query_one(Transcript).exchanges:
            self.query_one(QuestionField).text = said[-1].question

    def action_pane(self, by: int) -> None:
        """Go to the next pane."""
        is_here = self.has_class("-answers")
        if self.has_class("-narrow"):
            self.set_focus(None)
            self._show_pane("demonstrations" if is_here else "answers")
            return
        panes = [self.query_one(Demonstrations).table, self.query_one(Transcript)]
        at = next((n for n, one in enumerate(panes) if one is self.focused), -1 if by > 0 else 0)
        self.set_focus(panes[(at + by) % len(panes)])

    def _show_pane(self, name: str) -> None:
        """Show a pane, where there is room for one only."""
        self.set_class(name == "answers", "-answers")
        count = len(self.query_one(Demonstrations).examples)
        names = {"answers": "Answers", "demonstrations": f"Demonstrations {count:,}"}
        tabs = [
            (f"▌{words}▐" if one == name else f" {words} ", "bold" if one == name else MUTED)
            for one, words in names.items()
        ]
        self.query_one("#panes", Static).update(Content.assemble(*tabs, ("  [ ]", MUTED)))

    def action_clear(self) -> None:
        """Forget the answers shown; ask first where they are in no file."""
        if not self.is_idle:
            return
        if not (lost := self.query_one(Transcript).unsaved):
            self._clear(True)
            return
        question = Content(f"Clear the answers? {plural(lost, 'answer')} would be lost.")
        self.app.push_screen(ConfirmScreen(question, "Clear"), self._clear)

    def _clear(self, yes: bool | None) -> None:
        if yes:
            self.run_worker(self.query_one(Transcript).forget())
