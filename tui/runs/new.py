"""New run: a recipe as a form, what it would need and train, and what will be written."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer

from yofo_mlx.errors import YofoError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs.folder import Run

from ..shared.copying import copy
from ..shared.dialog import Dialog
from ..shared.key_line import KeyLine
from ..shared.places import Places
from ..shared.recipe_list import RecipesScreen
from ..shared.recipes import find_recipes, here
from ..shared.recovery import Recovering
from ..shared.words import safe
from . import new_draft
from .new_asking import AskLine
from .new_beside import RecipeText, RunOutlook
from .new_draft import Draft
from .new_files import edit, file_of, save
from .new_form import RunForm
from .new_preview import Previewer, Wish, offers
from .new_text import own_text, text_of
from .starting import Starter, start_detached

LOOK_AFTER = 0.3  # seconds after the last change


class NewRunScreen(Dialog, Recovering):
    """The form; gives the run back once its folder exists. A draft is kept until it is started."""

    CSS_PATH = "new.tcss"
    AUTO_FOCUS = "KeyTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", id="new_run.start", tooltip="Goes on without the app"),
        Binding("ctrl+w", "ask('save')", "Save", id="new_run.save", tooltip="As a recipe"),
        Binding("slash,ctrl+f", "ask('find')", "Find key", id="new_run.find", key_display="/"),
        Binding("ctrl+e", "edit_text", "Editor", id="new_run.editor", tooltip="In $EDITOR"),
        Binding("a", "ask('add')", "Add data", id="new_run.add", tooltip="A file, folder, hub id"),
        Binding("n", "next", "Next episode", id="new_run.next"),
        Binding("l", "fetch", "Read from hub", id="new_run.fetch"),
        Binding("t", "measure", "Time it", id="new_run.measure", tooltip="Time a few steps"),
        Binding("f", "fit", "Make it fit", id="new_run.fit"),
        Binding("f5", "again", "Read again", id="new_run.again", show=False),
        Binding("y", "copy", "Copy", id="new_run.copy", tooltip="The recipe's text", show=False),
        Binding("ctrl+n", "anew", "Begin anew", id="new_run.anew", show=False),
        Binding("escape", "leave", "Back", id="new_run.leave"),
    ]

    @dataclass
    class Begun(Message):
        """A draft is there, or it is told why not."""

        draft: Draft | None
        error: YofoError | None = None

    @dataclass
    class Told(Message):
        """The process said something about a draft."""

        kind: str
        said: Any

    @dataclass
    class Started(Message):
        """The run's folder exists and its trainer is on its way; or it is told why not."""

        run: Run | None
        error: YofoError | None = None

    def __init__(
        self,
        recipe: Path | None = None,
        overrides: dict[str, Any] | None = None,
        sources: Sequence[TaskSource] = (),
        *,
        starter: Starter = start_detached,
        why: str = "",
    ) -> None:
        """`overrides`: keys that are otherwise than in the recipe, `why` it is offered so."""
        super().__init__()
        self._recipe, self._overrides = recipe, dict(overrides or {})
        self._given = [one.model_dump(mode="json", exclude_unset=True) for one in sources]
        self._added: list[dict[str, Any]] = []  # to another recipe's data sets
        self._offer: Draft | None = None  # as it was before its user made anything of it
        self._starter, self._why = starter, why
        self._text = ""  # what will be written
        self._facts: dict[str, Any] = {}  # of the draft, as last looked at
        self._step, self._fetches, self._measures = 0, False, False
        self._due: Timer | None = None
        self._previewer = Previewer(lambda kind, said: self.post_message(self.Told(kind, said)))
        self._offered: list[bool | None] = []  # of the keys in the footer
        self._is_stale = self._is_starting = self._is_wanted = False
        self._left_broken: Draft | None = None  # of which the text in the editor was not read

    def compose(self) -> ComposeResult:
        """Lay the form out beside what it comes to."""
        yield Places("runs")
        with Horizontal(id="upper"):
            yield RunForm(self._why)
            yield RunOutlook()
        yield RecipeText()
        yield AskLine(self._answered)
        yield KeyLine()

    def on_mount(self) -> None:
        """Read the recipe."""
        self._form.say("reading the recipe …")
        self._begin(self._recipe)

    def on_unmount(self) -> None:
        """Look at nothing any more."""
        self._previewer.stop()

    @property
    def _form(self) -> RunForm:
        return self.query_one(RunForm)

    @property
    def draft(self) -> Draft | None:
        """Return the draft, None until its recipe was read."""
        return self._form.draft

    # ------------------------------------------------------------------ the draft

    @work(thread=True, exclusive=True, exit_on_error=False, group="recipe")
    def _begin(self, recipe: Path | None, anew: bool = False) -> None:
        try:
            kept = None if recipe or self._given or anew else new_draft.kept()
            draft = kept or new_draft.begin(recipe, self._overrides, self._given)
            for one in self._added:
                draft.add(one)
            self._offer = None if kept or anew else deepcopy(draft)
        except YofoError as error:
            self.post_message(self.Begun(None, error))
        else:
            self.post_message(self.Begun(draft))

    @on(Begun)
    def _begun(self, message: Begun) -> None:
        if message.draft is not None:
            self._take(message.draft)
            if self._is_wanted:
                self.action_start()
        elif message.error is not None:
            self._form.say_error(message.error)

    def _take(self, draft: Draft) -> None:
        self._facts = {}
        self._form.take(draft)
        self.query_one(RunOutlook).redraw(draft)
        self._changed()

    @on(RunForm.Changed)
    def _changed(self) -> None:
        """Look soon at what the draft comes to."""
        if self._due is not None:
            self._due.stop()
        self._due = self.set_timer(LOOK_AFTER, self._look)

    @work(thread=True, exclusive=True, exit_on_error=False, group="text")
    def _write(self, draft: Draft) -> None:
        try:
            said = text_of(draft, here()), own_text(draft)
        except (OSError, ValueError, YofoError) as error:  # the recipe is gone, or was never TOML
            said = f"# {error}", ""
        self.post_message(self.Told("text", said))

    @on(RunForm.Moved)
    def _moved(self) -> None:
        form = self._form
        if form.draft is not None:
            wrong = form.mistakes.get(form.key, "")
            self.query_one(RunOutlook).show_about(form.draft, form.row, wrong)

    @on(RunForm.Wanted)
    def _wanted(self, message: RunForm.Wanted) -> None:
        if message.what == "recipe" and self.draft is not None:
            self.app.push_screen(RecipesScreen(find_recipes(), self.draft.recipe), self._chosen)
        else:
            self.action_ask(message.what)

    def _chosen(self, recipe: Path | None) -> None:
        if recipe is not None:
            if (draft := self.draft) is not None:
                self._overrides, added = dict(draft.changes), draft.added()
                self._given, self._added = (added, []) if self._given else ([], added)
            self._begin(recipe, anew=True)

    def train_on(self, sources: Sequence[TaskSource], recipe: Path | None) -> None:
        """Take data sets, or another recipe, into the draft that is open."""
        if sources:
            self._form.take_in([one.model_dump(mode="json", exclude_unset=True) for one in sources])
        elif recipe is not None:
            self._chosen(recipe)

    def on_resize(self) -> None:
        """Fit all into the room there is."""
        if self.draft is not None:
            self._form.show()
            self.query_one(RunOutlook).redraw(self.draft)

    # ------------------------------------------------------------------ what it comes to

    def _look(self) -> None:
        """Look at the draft, once what is looked at now is done with."""
        draft, outlook = self.draft, self.query_one(RunOutlook)
        if draft is None:
            return
        self._due = None
        self._keep(deepcopy(draft))
        self._write(deepcopy(draft))
        if self._form.mistakes:
            outlook.age("waits until the mistakes are mended")
        elif self.is_at_work("preview"):
            self._is_stale = True
            self._previewer.interrupt()
        else:
            outlook.age("looking …")
            self._preview(Wish(deepcopy(draft), self._step, self._fetches, self._measures))
            self._measures = False

    @work(thread=True, exit_on_error=False, group="preview")
    def _preview(self, wish: Wish) -> None:
        self._previewer.look(wish)
        self.post_message(self.Told("end", None))

    @work(thread=True, exclusive=True, exit_on_error=False, group="draft")
    def _keep(self, draft: Draft) -> None:
        if draft != self._offer:  # which is no reason to forget what is kept
            self._offer = None
            new_draft.keep(draft)

    @on(Told)
    def _heard(self, message: Told) -> None:
        kind, said = message.kind, message.said
        if self.draft is None:
            return
        self.query_one(RunOutlook).hear(kind, said, self.draft)
        if kind == "plan":
            self._facts["plan"] = said
        elif kind == "episode":
            self._facts = said
            self._form.show_sources(said["sources"])
        elif kind == "text":
            self._text = said[0]
            self.query_one(RecipeText).show(*said)
        elif kind == "end":
            self._is_stale, again = False, self._is_stale
            if again:
                self.set_timer(0.01, self._look)  # once this worker is over
        offered = [self.check_action(name, ()) for name in ("fit", "measure", "fetch", "next")]
        if offered != self._offered:  # the footer is built anew only when its keys change
            self._offered = offered
            self.refresh_bindings()

    def recover(self, group: str, words: str) -> None:
        """Say what failed, and let it be tried again."""
        self._is_starting = False
        self._form.say_error(YofoError(words))

    def action_fit(self) -> None:
        """Make episodes as long as fits."""
        self._form.put("episodes.max_tokens", self._facts["plan"]["longest_max_tokens"])

    def action_measure(self) -> None:
        """Load the model and time a few steps."""
        self._measures = True
        self._look()

    def action_fetch(self) -> None:
        """Read also what lies on the hub."""
        self._fetches = True
        self._look()

    def action_next(self) -> None:
        """Show the episode of the next update."""
        self._step += 1
        self._look()

    def action_again(self) -> None:
        """Read the data anew, since files change."""
        self._previewer.stop()
        self._look()

    # ------------------------------------------------------------------ the line at the bottom

    def action_ask(self, what: str) -> None:
        """Ask for words, a file or a data set."""
        if self.draft is not None:
            usual = {"save": f"{self.draft.name or self.draft.recipe.stem}.toml"}
            usual["find"] = " ".join(self._form.words)
            self.query_one(AskLine).ask(what, usual.get(what, ""))

    def _answered(self, what: str, text: str, is_done: bool) -> None:
        if what == "find":
            self._form.find(text)
        if not is_done or (what == "save" and not self._save(text)):
            return
        if what == "add" and text:
            self._form.add(text)
        self.query_one(AskLine).put_away()
        self._form.focus_keys()

    def _save(self, name: str) -> bool:
        """Write the recipe; say that it was, or why not."""
        if not name or self.draft is None:
            return True
        path = here() / Path(name).expanduser()
        try:
            saved = save(self.draft, path)
        except YofoError as error:
            self._form.say_error(error)
            return False
        self.notify(safe(path).plain, title="Saved", markup=False)
        self._take(saved)
        return True

    def action_edit_text(self) -> None:
        """Edit the recipe's text in $EDITOR, and take over what it says then."""
        if self.draft is None:
            return
        try:
            edited = edit(self.app, self.draft, again=self.draft == self._left_broken)
        except YofoError as error:
            self._left_broken = deepcopy(self.draft)
            self._form.say_error(error)
        else:
            self._take(edited)

    def action_copy(self) -> None:
        """Copy the recipe's text."""
        copy(self, self._text, "recipe")

    # ------------------------------------------------------------------ to begin, to leave

    def action_start(self) -> None:
        """Start a run of the draft; it goes on when the app is closed."""
        draft = self.draft
        if draft is None:
            self._is_wanted = True  # once the recipe was read
        elif self._form.mistakes:
            words = "Mend what is marked ✗ first."
            self.notify(words, title="Not started", severity="warning", markup=False)
        elif not self._is_starting:
            self._is_starting = True
            self._form.say("Starting …")
            self._start(deepcopy(draft))

    @work(thread=True, exclusive=True, exit_on_error=False, group="start")
    def _start(self, draft: Draft) -> None:
        try:
            run = self._starter(file_of(draft), [], draft.name)
        except YofoError as error:
            self.post_message(self.Started(None, error))
        except OSError as error:
            self.post_message(self.Started(None, YofoError(str(error), "check the disk")))
        else:
            if draft != self._offer:
                new_draft.forget()
            self.post_message(self.Started(run))

    @on(Started)
    def _started(self, message: Started) -> None:
        self._is_starting = False
        if message.error is not None:
            self._form.say_error(message.error)
        else:
            self.dismiss(message.run)

    def action_anew(self) -> None:
        """Forget the draft and begin with the recipe alone."""
        if self.draft is not None:
            self._overrides, self._given, self._added = {}, [], []
            self._begin(self.draft.recipe, anew=True)

    def action_leave(self) -> None:
        """Show all keys again, or go back; the draft is kept."""
        if self._form.words:
            self._form.find("")
            return
        if self.draft is not None and self._due is not None and self.draft != self._offer:
            new_draft.keep(self.draft)
        self.dismiss(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what applies to what is known of the draft."""
        return offers(action, self._facts)
