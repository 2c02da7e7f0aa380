"""Data sets: what the recipes at hand are made of, and any file, folder or hub id."""

import random
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import DataTable, Input, OptionList

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.preview.client import PreviewClient
from yofo_mlx.recipe.schema import TaskSource

from ..shared.confirm import ConfirmScreen
from ..shared.editor import edit
from ..shared.key_line import KeyLine
from ..shared.messages import PromptWith, TrainOn
from ..shared.places import Places
from ..shared.recipes import here, near
from ..shared.words import lines, safe
from .add import AddScreen
from .detail import DataDetail
from .examples import ExampleTable, whole_row
from .fixing import FIX, drop_bad_rows
from .listing import CollectionList, DataListing
from .models import TokenModelScreen
from .problems import ProblemTable
from .reading import facts_of
from .sets import Collection, of_path, of_source, remembered
from .table import ORDERS, DataTableOfSets


class DataScreen(DataListing):
    """Recipes and paths on the left, their data sets on the right, the selected one below."""

    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add", id="data.add", tooltip="A file, a folder or a hub id"),
        Binding("l", "load", "Load", id="data.load", tooltip="Fetch from the hub"),
        Binding("slash", "find", "Find", id="data.find", tooltip="Sets or rows", key_display="/"),
        Binding("n", "new_run", "New run", id="data.new", tooltip="A run that trains on it"),
        Binding("p", "prompt", "Prompt", id="data.prompt", tooltip="Its rows as demonstrations"),
        Binding("m", "columns", "Columns", id="data.columns", tooltip="Which become what"),
        Binding("D", "remove", "Take off", id="data.remove", tooltip="Off the list, not the disk"),
        Binding("u", "undo", "Undo", id="data.undo", tooltip="Bring back what was taken off"),
        Binding("t", "tokens", "Tokens", id="data.tokens", tooltip="Again: where they begin"),
        Binding("left_square_bracket", "turn(-1)", "Tab before", id="data.tab_before", show=False),
        Binding("right_square_bracket", "turn(1)", "Tab", id="data.tab", key_display="[ ]"),
        Binding("M", "model", "Model", id="data.model", show=False, tooltip="To count tokens of"),
        Binding(
            "o", "order", "Order", id="data.order", show=False, tooltip="Rows, tokens, problems"
        ),
        Binding("f5", "again", "Read again", id="data.again", show=False, tooltip="Files changed"),
        Binding("escape", "leave", "Close", id="data.leave", show=False, tooltip="Show all again"),
    ]

    class Fixed(Message):
        """A recipe was changed, or why it could not be."""

        def __init__(self, key: str, wrong: YofoError | None) -> None:
            super().__init__()
            self.key, self.wrong = key, wrong

    def __init__(self) -> None:
        super().__init__()
        self._taken_off: list[Collection] = []

    def compose(self) -> ComposeResult:
        """Lay lists, detail and the line for words to find out."""
        yield Places("data")
        with Horizontal(id="lists"):
            yield CollectionList()
            yield DataTableOfSets()
        yield Input(placeholder="words to find", id="find", compact=True)
        yield DataDetail()
        yield KeyLine()

    def on_mount(self) -> None:
        """Hide the line for words; tell now and then how the reading goes on."""
        self.query_one("#find").display = False
        self.query_one("#lists").display = False
        self.set_interval(1.0, self._tick)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what there is something to do with."""
        row, chosen = self.row, self.chosen
        if action in ("turn", "tokens", "prompt"):
            return row is not None and row.data is not None
        if action == "new_run":
            return row is not None
        if action == "load":
            return row is not None and self.waits_for_key(row)
        if action == "remove":
            return chosen is not None and chosen.is_typed
        if action == "columns":
            return chosen is not None and chosen.is_typed and bool(chosen.sources)
        if action == "undo":
            return bool(self._taken_off)
        if action == "leave":
            return bool(self.query_one("#find").display or self.filter or self.words_to_find)
        return True

    # ------------------------------------------------------------------ what is on the list

    def action_add(self) -> None:
        """Ask for a path or hub id, and for its columns."""
        self.app.push_screen(AddScreen(model=self.model), self._added)

    def open_path(self, text: str) -> None:
        """Look at a path: a recipe goes on the list, data are first shown with their columns."""
        one = of_path(text)
        if one.sources and one.key == one.sources[0].source:
            self.app.push_screen(AddScreen(one.sources[0], self.model), self._added)
        else:
            self._put(one)

    def action_columns(self) -> None:
        """Say of what was added which columns are input and output."""
        if self.chosen is not None and self.chosen.is_typed and self.chosen.sources:
            self.app.push_screen(AddScreen(self.chosen.sources[0], self.model), self._added)

    def _added(self, source: TaskSource | str | None) -> None:
        if source is not None:
            self._put(of_path(source) if isinstance(source, str) else of_source(source))

    def _put(self, added: Collection) -> None:
        self.forget(added.key)
        place = remembered(added)["source"]  # two paths may lead to one file
        others = [known for known in self.listed if remembered(known)["source"] != place]
        self.put([*others, added], highlight=added.key)
        self.remember()

    def action_remove(self) -> None:
        """Take what was added off the list."""
        chosen = self.chosen
        if chosen is not None and chosen.is_typed:
            self._taken_off.append(chosen)
            self.forget(chosen.key)
            self.put([known for known in self.listed if known is not chosen])
            self.remember()

    def action_undo(self) -> None:
        """Bring back what was taken off last."""
        if self._taken_off:
            self._put(self._taken_off.pop())

    def action_load(self) -> None:
        """Fetch the selected source from the hub."""
        if self.row is not None:
            self.load(self.row)

    def action_again(self) -> None:
        """Read recipes and data anew, since files change."""
        self.trouble.clear()
        if self.chosen is not None:
            self.forget(self.chosen.key)
        self.find()

    # ------------------------------------------------------------------ what is looked at

    def action_turn(self, by: int) -> None:
        """Open the next tab, or the one before."""
        self.query_one(DataDetail).turn(by)

    def action_tokens(self) -> None:
        """Show the data set as a model reads it; there already, show the edges of tokens."""
        detail = self.query_one(DataDetail)
        detail.by_token = not detail.by_token if detail.tab == "tokens" else detail.by_token
        detail.open("tokens")

    def action_order(self) -> None:
        """Order the data sets by something else."""
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        self.notify(f"Ordered: {self.order}", timeout=2)
        self.show()

    def action_shuffle(self) -> None:
        """Show other rows first."""
        self.seed = random.randrange(2**31)
        self.look()

    def action_find(self) -> None:
        """Ask for words: to be in rows if one is among them, else in names of data sets."""
        box = self.query_one("#find", Input)
        in_rows = isinstance(self.focused, ExampleTable)
        box.placeholder = "words in rows" if in_rows else "words in names of data sets"
        box.set_class(in_rows, "-rows")
        box.value = self.words_to_find if in_rows else self.filter
        box.display = True
        box.focus()
        self.refresh_bindings()

    @on(Input.Changed, "#find")
    def _typed(self, event: Input.Changed) -> None:
        if not event.input.display:
            return
        if event.input.has_class("-rows"):
            self.words_to_find = event.value.strip()
            self.look()
        else:
            self.filter = event.value
            self.show()

    @on(Input.Submitted, "#find")
    def _found_it(self, event: Input.Submitted) -> None:
        in_rows = event.input.has_class("-rows")
        event.input.display = False
        self.query_one(ExampleTable if in_rows else DataTableOfSets).focus()

    def action_leave(self) -> None:
        """Put the line for words away, and show all again."""
        box = self.query_one("#find", Input)
        in_rows = box.has_class("-rows")
        box.display = False
        self.words_to_find = "" if in_rows else self.words_to_find
        self.filter = self.filter if in_rows else ""
        if self.focused is box or self.focused is None:
            self.query_one(ExampleTable if in_rows else OptionList).focus()
        self.show()

    @on(DataTable.RowSelected, "DataTableOfSets")
    def _into_detail(self) -> None:
        detail = self.query_one(DataDetail)
        if detail.tab not in ("examples", "problems"):
            detail.open("examples")
        table = self.query_one(ProblemTable if detail.tab == "problems" else ExampleTable)
        table.focus()

    @on(DataTable.RowSelected, "ExampleTable")
    def _whole_row(self) -> None:
        if row := self.query_one(ExampleTable).selected:
            self.app.push_screen(whole_row(near(row[0]) or "a row", *row[1:]))

    def action_model(self) -> None:
        """Pick whose tokens are counted."""
        self.app.push_screen(TokenModelScreen(self.model), self._model_picked)

    def _model_picked(self, name: str | None) -> None:
        if name is not None:
            self.app.choices.keep("data", "model", name)  # type: ignore[attr-defined]
            self.forget_measures()
            self.read_missing()
            self.show()

    # ------------------------------------------------------------------ what is done with it

    def action_new_run(self) -> None:
        """Start a run with the selected data set."""
        if self.row is not None and self.chosen is not None:
            recipe = Path(self.chosen.key) if self.chosen.is_recipe else None
            self.post_message(TrainOn([self.row.source], recipe))

    def action_prompt(self) -> None:
        """Take the rows of the selected data set as demonstrations."""
        row = self.row
        if row is not None and row.data is not None:
            self._take_to_prompt(facts_of(row.source), row.data.name, self._client)

    @work(thread=True, exclusive=True, exit_on_error=False, group="prompt")
    def _take_to_prompt(self, source: dict[str, Any], name: str, client: PreviewClient) -> None:
        try:
            self.post_message(PromptWith(client.call("text_of", source=source, name=name)["text"]))
        except Cancelled:
            return
        except YofoError as error:
            words = f"{error.message}\n{error.hint}"
            self.app.call_from_thread(self.notify, words, severity="error", markup=False)

    def action_edit(self) -> None:
        """Open the selected problem's line in the user's editor."""
        one = self.query_one(ProblemTable).selected
        path = here() / Path(one.path).expanduser() if one and one.path else None
        if one is None or path is None or not path.is_file():
            where = one.place if one else "nothing"
            self.notify(f"{near(where)} is no file here to edit", severity="warning", markup=False)
        elif wrong := edit(self.app, path, one.line):
            self.notify(wrong, severity="error", markup=False)
        else:
            self.action_again()

    def action_fix(self) -> None:
        """Leave bad rows out: in what was added at once, in a recipe after a question."""
        row, chosen = self.row, self.chosen
        if row is None or chosen is None or row.data is None or not row.data.errors:
            self.notify("There is no error to leave out.", severity="warning")
        elif row.source.bad_rows == "drop":
            self.notify("What is left stops the reading: press e to mend it.", severity="warning")
        elif chosen.is_typed and chosen.key == row.source.source:
            self._put(of_source(row.source.model_copy(update={"bad_rows": "drop"})))
        else:
            asked = lines(
                [f"Write {FIX} into {near(chosen.key)}?", safe(near(row.source.source), 80)]
            )
            fix = partial(self._fix_if, chosen.key, row.index)
            self.app.push_screen(ConfirmScreen(asked, "Write"), fix)

    def _fix_if(self, key: str, index: int, yes: bool | None) -> None:
        if yes:
            self._fix(key, index)

    @work(thread=True, exclusive=True, exit_on_error=False, group="fix")
    def _fix(self, key: str, index: int) -> None:
        wrong = None
        try:
            drop_bad_rows(Path(key), index)
        except YofoError as error:
            wrong = error
        self.post_message(self.Fixed(key, wrong))

    @on(Fixed)
    def _fixed(self, message: Fixed) -> None:
        if wrong := message.wrong:
            self.notify(f"{wrong.message}\n{wrong.hint}", severity="error", markup=False)
        else:
            self.forget(message.key)
            self.find()
