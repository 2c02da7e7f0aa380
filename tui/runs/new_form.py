"""The form of a new run: its data sets and its keys, changed in place."""

from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import DescendantFocus
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from yofo_mlx.errors import YofoError

from ..shared.recipes import near
from ..shared.words import lines, muted, safe
from .new_draft import Draft
from .new_editor import KeyEditor
from .new_keys import TASK, all_keys, as_text, facts_of
from .new_tables import KEYS, RECIPE, RUN, KeyTable, SourceTable
from .new_words import Words

LONG = ("model", "source", "instruction", "description", "input", "output")
SHOWN_MISTAKES = 4


class RunForm(Vertical):
    """Two lists over one draft; every change counts at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "open", "Edit", id="new_run.edit", show=False),
        Binding("space", "turn", "Next choice", id="new_run.turn"),
        Binding("r,delete", "reset", "Reset", id="new_run.reset", tooltip="As the recipe has it"),
        Binding("D", "drop", "Drop data", id="new_run.drop", tooltip="Out of this run"),
        Binding("u", "undo", "Undo", id="new_run.undo", tooltip="Bring dropped data back"),
    ]

    class Changed(Message):
        """The draft says something else; `of_data`: its data sets are others."""

        def __init__(self, of_data: bool = False) -> None:
            super().__init__()
            self.of_data = of_data

    class Moved(Message):
        """Another key is under the cursor."""

    class Wanted(Message):
        """Something is to be asked: a recipe, or words to find keys by."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, why: str = "") -> None:
        super().__init__(id="form")
        self.border_title = "new run"
        self._why = why
        self.draft: Draft | None = None
        self.mistakes: dict[str, str] = {}
        self.words: list[str] = []  # that keys are looked for by
        self._sources: list[dict[str, Any]] = []  # what was read of the data sets
        self._dropped: list[list[dict[str, Any]] | None] = []
        self._said = Content()  # about this draft, until it is another
        self._offered: list[bool] = []  # of the keys in the footer

    def compose(self) -> ComposeResult:
        """Lay the lists out."""
        if self._why:
            yield Static(safe(self._why), id="why")
        yield SourceTable()
        yield KeyTable(self.action_open)
        yield Words(id="problem")
        yield KeyEditor(self._edited)

    @property
    def row(self) -> str:
        """Return what is under the cursor: a key, or a row of the form itself."""
        return self.query_one(KeyTable).selected_key or ""

    @property
    def key(self) -> str:
        """Return the key under the cursor; none on what is no key of a recipe."""
        return "" if self.row in (RUN, RECIPE, KEYS) else self.row

    def take(self, draft: Draft) -> None:
        """Show another draft."""
        self.draft = draft
        self._sources = []
        self.check()

    def check(self) -> None:
        """See what is wrong with the draft, and show it."""
        if self.draft is not None:
            self.mistakes, self._said = self.draft.mistakes(), Content()
            self.show()

    def show_sources(self, facts: list[dict[str, Any]]) -> None:
        """Show what was read of the data sets."""
        self._sources = facts
        self.show()

    def show(self) -> None:
        """Fit the draft into the room there is."""
        draft = self.draft
        if draft is None:
            return
        keys = draft.shown_keys(self.words)
        every = sum(not key.startswith(TASK) for key in all_keys())
        table, sources = self.query_one(KeyTable), self.query_one(SourceTable)
        shown = keys if self.words else [RUN, RECIPE, *keys]
        rest = 0 if self.words else every - len(keys)
        table.show(draft, shown, self.mistakes, rest, table.size.width or 70)
        sources.show(draft, self._sources, sources.size.width or 70)
        self._show_mistakes(bool(shown))
        self._moved()

    def _show_mistakes(self, has_keys: bool) -> None:
        said = [
            Content.assemble(("✗ ", "$text-error"), safe(f"{key}: {words}" if key else words, 300))
            for key, words in list(self.mistakes.items())[:SHOWN_MISTAKES]
        ]
        if (more := len(self.mistakes) - SHOWN_MISTAKES) > 0:
            said.append(muted(f"and {more} more mistakes"))
        if not has_keys and not said:
            said = [muted("No key has these words.")]
        self.query_one("#problem", Words).show(lines([*said, *filter(None, [self._said])]))

    def say(self, words: str) -> None:
        """Say below the keys what is being done."""
        self._tell(muted(words))

    def say_error(self, error: YofoError) -> None:
        """Say below the keys what went wrong."""
        what = safe(near(error.message)).stylize("$text-error")
        self._tell(lines([what, safe(near(error.hint))]))

    def _tell(self, words: Content) -> None:
        self._said = words
        self.query_one("#problem", Words).show(words)

    def find(self, text: str) -> None:
        """Show the keys that have these words; without any the ones that say something."""
        words, self.words = self.words, text.lower().split()
        self.show()
        if self.words and self.words != words:
            self.query_one(KeyTable).move_cursor(row=0, animate=False)

    def focus_keys(self) -> None:
        """Go to the keys."""
        self.query_one(KeyTable).focus()

    @on(DataTable.RowHighlighted, "KeyTable")
    @on(DescendantFocus)
    def _moved(self) -> None:
        self.post_message(self.Moved())
        offered = [self._offers(action) for action in ("turn", "reset", "drop", "undo")]
        if offered != self._offered:  # the footer is built anew only when its keys change
            self._offered = offered
            self.refresh_bindings()

    # ------------------------------------------------------------------ keys

    @on(DataTable.RowSelected, "KeyTable")
    def _selected(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Edit the value under the cursor where it lies, or take its next choice."""
        table = self.query_one(KeyTable)
        key, draft = table.selected_key, self.draft
        if draft is None or key is None:
            return
        if key in (RECIPE, KEYS):
            self.post_message(self.Wanted("recipe" if key == RECIPE else "find"))
        elif key != RUN and facts_of(key).choices:
            self.action_turn()
        else:
            text = draft.name if key == RUN else draft.text(key)
            is_long = key.rpartition(".")[2] in LONG
            width = table.value_width(table.size.width) * (2 if is_long else 1)
            editor = self.query_one(KeyEditor)
            editor.open(table, key, text, width)
            editor.tooltip = None if key == RUN else facts_of(key).help.replace("\n", " ")

    @on(Input.Changed, "KeyEditor")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        editor = self.query_one(KeyEditor)
        if event.value == editor.value:  # else fast fingers are at another key by now
            self._put(editor.key, event.value)

    def _edited(self, key: str, text: str, rows: int) -> None:
        self._put(key, text)
        table = self.query_one(KeyTable)
        self.screen.set_focus(table)
        if rows:
            table.move_cursor(row=table.cursor_row + rows, animate=False)
            if self.key and not facts_of(self.key).choices:
                self.action_open()

    def put(self, key: str, value: Any) -> None:
        """Set a key."""
        self._put(key, as_text(value))

    def _put(self, key: str, text: str) -> None:
        if self.draft is None or not key:
            return
        if key == RUN:
            self.draft.name = text.strip()
        else:
            self.draft.put(key, text)
        self._changed(key.startswith(TASK))

    def _changed(self, of_data: bool = False) -> None:
        self.check()
        self.post_message(self.Changed(of_data))

    def action_turn(self) -> None:
        """Take the next of a key's choices, or give a data set the other role."""
        draft, sources = self.draft, self.query_one(SourceTable)
        if draft is None:
            return
        if sources.has_focus and sources.selected_key:
            key = f"{sources.selected_key}.role"
            self._put(key, "train" if draft.value(key) == "held_out" else "held_out")
        elif self.key and facts_of(self.key).choices:
            facts, now = facts_of(self.key), draft.text(self.key)
            ring = [*facts.choices] if facts.default else ["", *facts.choices]
            place = ring.index(now) + 1 if now in ring else 0
            self._put(self.key, ring[place % len(ring)])

    def action_reset(self) -> None:
        """Take the change of a key back."""
        if self.draft is not None and self.key:
            self.draft.reset(self.key)
            self._changed(self.key.startswith(TASK))

    # ------------------------------------------------------------------ data sets

    @on(DataTable.RowSelected, "SourceTable")
    def _open_source(self) -> None:
        """Show the keys of a data set."""
        if key := self.query_one(SourceTable).selected_key:
            self.find(f"{key}.")
            self.focus_keys()

    def add(self, source: str) -> None:
        """Add a data set: a path from here, or an id on the hub."""
        if self.draft is not None:
            path = Path(source).expanduser()
            self.take_in([{"source": str(path.absolute()) if path.exists() else source}])

    def take_in(self, tables: list[dict[str, Any]]) -> None:
        """Add data sets as they are written in a recipe, but those that are there."""
        if self.draft is not None:
            for table in tables:
                self.draft.add(table)
            self._changed(of_data=True)

    def action_drop(self) -> None:
        """Leave a data set out of this run."""
        key = self.query_one(SourceTable).selected_key
        if self.draft is not None and key:
            self._dropped.append(deepcopy(self.draft.tasks))
            place = int(key.removeprefix(TASK))
            self.draft.drop(place)
            kept = [one for one in self._sources if one["place"] != place]
            self._sources = [one | {"place": one["place"] - (one["place"] > place)} for one in kept]
            self._changed(of_data=True)

    def action_undo(self) -> None:
        """Bring back what was dropped last."""
        if self.draft is not None and self._dropped:
            self.draft.tasks = self._dropped.pop()
            self._sources = []
            self._changed(of_data=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what applies to the row under the cursor."""
        return not self.query(SourceTable) or self._offers(action)

    def _offers(self, action: str) -> bool:
        in_data = self.query_one(SourceTable).has_focus
        if action == "turn":
            return in_data or bool(self.key and facts_of(self.key).choices)
        if action == "reset":
            draft = self.draft
            return not in_data and draft is not None and bool(self.key) and draft.is_other(self.key)
        if action == "undo":
            return bool(self._dropped)
        return in_data if action == "drop" else True
