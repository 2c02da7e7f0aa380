"""Data sets: what the recipes at hand are made of, and any file, folder or hub id."""

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Footer, Input, OptionList
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from tui.datasets import Collection, DataSet, collections, is_remote, of_path, read
from tui.screens.recovery import Recovering
from tui.widgets.data_detail import DataDetail
from tui.widgets.data_table import DataTableOfSets, Row
from tui.widgets.places import Places
from tui.words import MUTED, count, lines, muted, one_line, safe

EMPTY = Content.assemble(
    ("No recipes here, so no data sets yet.\n\n", "bold"),
    "Press ", ("o", "bold $text-accent"), " and type the path of a file or folder of labelled\n"
    "examples (JSONL, JSON, CSV, Parquet), or type in a shell\n\n",
    ("  yofo recipes copy tiny", "$text-primary"),
)  # fmt: skip


class DataScreen(Recovering):
    """Recipes and paths on the left, their data sets on the right, the selected one below."""

    CSS_PATH = "data.tcss"
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "Open", id="data.open", tooltip="A file, a folder or a hub id"),
        Binding("l", "load", "Load", id="data.load", tooltip="Fetch from the hub"),
        Binding("u", "again", "Read again", id="data.again"),
        Binding("escape", "leave", "Back to the list", id="data.leave", show=False),
    ]

    class Found(Message):
        """The recipes at hand were read."""

        def __init__(self, found: list[Collection]) -> None:
            super().__init__()
            self.found = found

    class Done(Message):
        """A source of a collection was read."""

        def __init__(self, key: str, index: int, sets: list[DataSet]) -> None:
            super().__init__()
            self.key, self.index, self.sets = key, index, sets

    def __init__(self) -> None:
        super().__init__()
        self._collections: list[Collection] = []
        self._sets: dict[tuple[str, int], list[DataSet]] = {}  # by collection and source
        self._asked: set[tuple[str, int]] = set()  # hub sources the user wants

    def compose(self) -> ComposeResult:
        """Lay lists, detail and the line for paths out."""
        yield Places("data")
        with Horizontal(id="lists"):
            yield OptionList()
            yield DataTableOfSets()
        yield Input(placeholder="file, folder, recipe or hub id", id="path", compact=True)
        yield DataDetail()
        yield Footer()

    def on_mount(self) -> None:
        """Look for recipes."""
        self.query_one("#path").display = False
        self._find()

    @work(thread=True, exclusive=True, exit_on_error=False, group="find")
    def _find(self) -> None:
        self.post_message(self.Found(collections()))

    @on(Found)
    def _found(self, message: Found) -> None:
        typed = [known for known in self._collections if known.key not in _keys(message.found)]
        self._list(message.found + [known for known in typed if known.sources])

    def _list(self, found: list[Collection], highlight: str | None = None) -> None:
        self._collections = found
        options = self.query_one(OptionList)
        chosen = highlight or (self._chosen.key if self._chosen else None)
        options.clear_options()
        options.add_options([Option(_option(one), id=one.key) for one in found])
        keys = [one.key for one in found]
        if found:
            options.highlighted = keys.index(chosen) if chosen in keys else 0
        self.query_one("#lists").display = bool(found)
        self._show()

    @property
    def _chosen(self) -> Collection | None:
        index = self.query_one(OptionList).highlighted
        known = index is not None and index < len(self._collections)
        return self._collections[index] if known and index is not None else None

    @on(OptionList.OptionHighlighted)
    def _turned(self) -> None:
        self._show()
        self._read_missing()

    @on(OptionList.OptionSelected)
    def _to_table(self) -> None:
        self.query_one(DataTableOfSets).focus()

    def _read_missing(self) -> None:
        chosen = self._chosen
        if chosen is not None:
            done = {index for key, index in self._sets if key == chosen.key}
            asked = {index for key, index in self._asked if key == chosen.key}
            self._read(chosen, done, asked)

    @work(thread=True, exclusive=True, exit_on_error=False, group="read")
    def _read(self, chosen: Collection, done: set[int], asked: set[int]) -> None:
        worker = get_current_worker()
        for index, source in enumerate(chosen.sources):
            if worker.is_cancelled:
                return
            if index not in done and (index in asked or not is_remote(source)):
                self.post_message(self.Done(chosen.key, index, read(source)))

    @on(Done)
    def _done(self, message: Done) -> None:
        self._sets[message.key, message.index] = message.sets
        if self._chosen is not None and self._chosen.key == message.key:
            self._show()

    def _rows(self) -> list[Row]:
        chosen = self._chosen
        if chosen is None:
            return []
        rows: list[Row] = []
        for index, source in enumerate(chosen.sources):
            found = self._sets.get((chosen.key, index))
            rows += [Row(source, None)] if found is None else [Row(source, data) for data in found]
        return rows

    def _show(self) -> None:
        table = self.query_one(DataTableOfSets)
        table.show(self._rows(), self.size.width)
        self._show_detail()

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self._show_detail()
        self.query_one(DataDetail).scroll_to_top()

    def _show_detail(self) -> None:
        row = self.query_one(DataTableOfSets).selected
        self.query_one(DataDetail).show(row.data if row else None, self._words(row))
        self.refresh_bindings()

    def _words(self, row: Row | None) -> Content:
        chosen = self._chosen
        if chosen is None:
            return EMPTY
        if chosen.error is not None:
            wrong = safe(chosen.error.message).stylize("$text-error")
            return lines([wrong, safe(chosen.error.hint)])
        if row is not None and is_remote(row.source) and not self._asked_for(row):
            where = one_line(row.source.source, 80) + " is on the hub. Press "
            return Content.assemble(where, ("l", "bold $text-accent"), " to load it.")
        return muted("reading …")

    def _asked_for(self, row: Row) -> bool:
        return self._source_of(row) in self._asked

    def _source_of(self, row: Row | None) -> tuple[str, int] | None:
        """Return which source a row is of; None while the table still shows another collection."""
        one = self._chosen
        if one is None or row is None or row.source not in one.sources:
            return None
        return one.key, one.sources.index(row.source)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer loading only for what lies on the hub."""
        if action == "load":
            row, chosen = self.query_one(DataTableOfSets).selected, self._chosen
            waiting = row is not None and row.data is None and not self._asked_for(row)
            return waiting and chosen is not None and row is not None and is_remote(row.source)
        return True

    def action_open(self) -> None:
        """Ask for a path."""
        box = self.query_one("#path", Input)
        box.display = True
        box.focus()

    @on(Input.Submitted, "#path")
    def _opened(self, event: Input.Submitted) -> None:
        if not (text := event.value.strip()):
            return
        added = of_path(text)
        self._forget(added.key)
        others = [known for known in self._collections if known.key != added.key]
        self._list([*others, added], highlight=added.key)
        self.action_leave()

    def action_load(self) -> None:
        """Fetch the selected source from the hub."""
        source = self._source_of(self.query_one(DataTableOfSets).selected)
        if source is not None:
            self._asked.add(source)
            self._show()
            self._read_missing()

    def action_again(self) -> None:
        """Read recipes and data anew, since files change."""
        if self._chosen is not None:
            self._forget(self._chosen.key)
        self._find()

    def _forget(self, key: str) -> None:
        self._sets = {place: sets for place, sets in self._sets.items() if place[0] != key}

    def action_leave(self) -> None:
        """Put the line for paths away."""
        box = self.query_one("#path", Input)
        box.value = ""
        box.display = False
        self.query_one(OptionList).focus()

    def on_resize(self) -> None:
        """Show the columns there is room for."""
        self._show()


def _keys(found: list[Collection]) -> set[str]:
    return {one.key for one in found}


def _option(one: Collection) -> Content:
    if one.error is not None:
        return Content.assemble(one_line(one.title, 40), ("\n  ✗ cannot be read", "$text-error"))
    facts = [one.place, count(len(one.sources), "source")]
    about = " · ".join(filter(None, facts))
    return Content.assemble(one_line(one.title, 40), (f"\n  {about}", MUTED))
