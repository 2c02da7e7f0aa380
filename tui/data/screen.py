"""Data sets: what the recipes at hand are made of, and any file, folder or hub id."""

import time
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import DataTable, Footer, Input, OptionList
from textual.widgets.option_list import Option

from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.quantities import duration, plural

from ..shared.places import Places
from ..shared.recipes import near
from ..shared.recovery import Recovering
from ..shared.words import lines, muted, one_line, safe
from .detail import DataDetail
from .reading import Done, Reader, Reading
from .sets import Collection, DataSet, collections, of_path
from .table import DataTableOfSets, SetRow

READ_AFTER = 0.2  # seconds on a collection: who passes by starts nothing
EMPTY = Content.assemble(
    ("No recipes here, so no data sets yet.\n\n", "bold"),
    "Press ", ("o", "bold $text-accent"), " and type the path of a file or folder of labelled\n"
    "examples (JSONL, JSON, CSV, Parquet), or type in a shell\n\n",
    ("  yofo recipes copy tiny", "$text-primary"),
)  # fmt: skip


class DataScreen(Recovering):
    """Recipes and paths on the left, their data sets on the right, the selected one below."""

    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "Open", id="data.open", tooltip="A file, a folder or a hub id"),
        Binding(
            "x", "remove", "Take off", id="data.remove", tooltip="What you opened, off the list"
        ),
        Binding("l", "load", "Load", id="data.load", tooltip="Fetch from the hub"),
        Binding("u", "again", "Read again", id="data.again", tooltip="After files were changed"),
        Binding("escape", "leave", "Close", id="data.leave", tooltip="Put the line for paths away"),
    ]

    class Found(Message):
        """The recipes at hand were read."""

        def __init__(self, found: list[Collection]) -> None:
            super().__init__()
            self.found = found

    class Heard(Message):
        """The process that reads a collection said something; None: it has ended."""

        def __init__(self, key: str, reader: Reader, said: Done | Reading | None) -> None:
            super().__init__()
            self.key, self.reader, self.said = key, reader, said

    def __init__(self) -> None:
        super().__init__()
        self._collections: list[Collection] | None = None  # None until they were looked for
        self._sets: dict[tuple[str, int], list[DataSet]] = {}  # by collection and source
        self._asked: set[tuple[str, int]] = set()  # hub sources the user wants
        self._reader: Reader | None = None  # at work
        self._reader_of = ""  # which collection
        self._read_since, self._reading = 0.0, Reading("", 0, 0)
        self._due: Timer | None = None
        self._trouble: dict[str, str] = {}  # what failed in an unknown way, by group

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
        """Hide the line for paths; tell now and then how the reading goes on."""
        self.query_one("#path").display = False
        self.query_one("#lists").display = False
        self.set_interval(1.0, self._tick)

    def on_screen_resume(self) -> None:
        """Look for recipes: some may have come, changed or gone."""
        self._find()

    def on_unmount(self) -> None:
        """Read no further."""
        self._stop()

    @work(thread=True, exclusive=True, exit_on_error=False, group="find")
    def _find(self) -> None:
        self.post_message(self.Found(collections()))

    @on(Found)
    def _found(self, message: Found) -> None:
        self._trouble.pop("find", None)
        before = self._listed
        keys = {one.key for one in message.found}
        for one in message.found:
            if one not in before:
                self._forget(one.key)
        typed = [known for known in before if known.is_typed and known.key not in keys]
        self._list(message.found + typed)

    @property
    def _listed(self) -> list[Collection]:
        return self._collections or []

    def _list(self, found: list[Collection], highlight: str | None = None) -> None:
        options, before = self.query_one(OptionList), self._chosen
        keys, at = [one.key for one in found], options.highlighted or 0
        if found != self._collections:
            self._collections = found
            options.clear_options()
            options.add_options([Option(_option(one), id=one.key) for one in found])
        chosen = highlight or (before.key if before else None)
        if found:  # what is gone leaves the cursor where it is
            options.highlighted = keys.index(chosen) if chosen in keys else min(at, len(found) - 1)
        self.query_one("#lists").display = bool(found)
        self._turned()

    @property
    def _chosen(self) -> Collection | None:
        index = self.query_one(OptionList).highlighted
        known = index is not None and index < len(self._listed)
        return self._listed[index] if known and index is not None else None

    @on(OptionList.OptionHighlighted)
    def _turned(self) -> None:
        """Show the collection, and read it once the cursor rests on it."""
        chosen = self._chosen
        if self._reader is not None and (chosen is None or chosen.key != self._reader_of):
            self._stop()
        if self._due is not None:
            self._due.stop()
        self._due = self.set_timer(READ_AFTER, self._read_missing)
        self._show()

    @on(OptionList.OptionSelected)
    def _to_table(self) -> None:
        self.query_one(DataTableOfSets).focus()

    def _stop(self) -> None:
        if self._reader is not None:
            self._reader.stop()
        self._reader = None

    def _read_missing(self) -> None:
        chosen = self._chosen
        if chosen is None or self._reader is not None:
            return
        wanted = {
            index: source
            for index, (source, far) in enumerate(zip(chosen.sources, chosen.on_hub, strict=True))
            if (chosen.key, index) not in self._sets
            and (not far or (chosen.key, index) in self._asked)
        }
        if wanted:
            self._reader, self._reader_of = Reader(), chosen.key
            self._read_since, self._reading = time.monotonic(), Reading("", 0, 0)
            self._read(chosen.key, self._reader, wanted)

    @work(thread=True, exit_on_error=False, group="read")
    def _read(self, key: str, reader: Reader, wanted: dict[int, TaskSource]) -> None:
        for said in reader.read(wanted):
            self.post_message(self.Heard(key, reader, said))
        self.post_message(self.Heard(key, reader, None))

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        said = message.said
        if isinstance(said, Done):
            self._sets[message.key, said.index] = said.sets
            if self._chosen is not None and self._chosen.key == message.key:
                self._show()
        elif message.reader is self._reader:
            if said is None:
                self._reader = None
                self._read_missing()  # what was asked for meanwhile
            else:
                self._reading = said

    def _tick(self) -> None:
        if self._reader is not None and self.is_current:
            self._show_detail()

    def recover(self, group: str, words: str) -> None:
        """Say below what failed; `u` tries again."""
        self._trouble[group] = words
        self._reader = None if group == "read" else self._reader
        if self._collections is None:
            self._collections = []
        self._show()

    def _rows(self) -> list[SetRow]:
        chosen = self._chosen
        if chosen is None:
            return []
        rows: list[SetRow] = []
        for index, source in enumerate(chosen.sources):
            found = self._sets.get((chosen.key, index))
            sets: list[DataSet | None] = [None] if found is None else [*found]
            rows += [SetRow(chosen.key, index, source, data) for data in sets]
        return rows

    def _show(self) -> None:
        self.query_one(DataTableOfSets).show(self._rows(), self.size.width)
        self._show_detail()

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self._show_detail()
        self.query_one(DataDetail).scroll_to_top()

    def _show_detail(self) -> None:
        row = self._row
        data, whole = (row.data, row.collection) if row else (None, "")
        self.query_one(DataDetail).show(data, self._words(row), whole)
        self.refresh_bindings()

    @property
    def _row(self) -> SetRow | None:
        """Return the row under the cursor; none while the table shows another collection."""
        row, chosen = self.query_one(DataTableOfSets).selected, self._chosen
        return row if row is not None and chosen and chosen.key == row.collection else None

    def _words(self, row: SetRow | None) -> Content:
        chosen = self._chosen
        if self._trouble:
            said = "; ".join(f"{group}: {words}" for group, words in self._trouble.items())
            again = Content.assemble("Press ", ("u", "bold $text-accent"), " to try again.")
            return lines([safe(said).stylize("$text-error"), again])
        if chosen is None:
            return muted("looking for recipes …") if self._collections is None else EMPTY
        if chosen.error is not None:
            wrong = safe(chosen.error.message).stylize("$text-error")
            return lines([wrong, safe(chosen.error.hint)])
        if row is not None and self._waits_for_key(row):
            where = one_line(row.source.source, 80) + " is on the hub. Press "
            return Content.assemble(where, ("l", "bold $text-accent"), " to load it.")
        return muted(self._progress())

    def _progress(self) -> str:
        """Say what is read, how far, and for how long."""
        if self._reader is None:
            return "reading …"
        now = self._reading
        of = f" of {now.total:,}" if now.total else ""
        far = f" {now.done:,}{of}" if now.done else ""
        taken = duration(time.monotonic() - self._read_since)
        return f"{one_line(near(now.what or 'reading'), 120).plain}{far} … {taken}"

    def _waits_for_key(self, row: SetRow) -> bool:
        chosen = self._chosen
        far = chosen is not None and chosen.on_hub[row.index]
        return far and row.data is None and (row.collection, row.index) not in self._asked

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer loading only for what lies on the hub, and taking off only what was opened."""
        if action == "load":
            return self._row is not None and self._waits_for_key(self._row)
        if action == "remove":
            return self._chosen is not None and self._chosen.is_typed
        if action == "leave":
            return bool(self.query("#path")) and bool(self.query_one("#path").display)
        return True

    def action_open(self) -> None:
        """Ask for a path."""
        box = self.query_one("#path", Input)
        box.display = True
        self.set_focus(box)
        self.refresh_bindings()

    @on(Input.Submitted, "#path")
    def _opened(self, event: Input.Submitted) -> None:
        if text := event.value.strip():
            self.open_path(text)

    def open_path(self, text: str) -> None:
        """Look at a file, folder, recipe or hub id, as if it had been typed."""
        added = of_path(text)
        self._forget(added.key)
        others = [known for known in self._listed if known.key != added.key]
        self._list([*others, added], highlight=added.key)
        self.action_leave()

    def action_remove(self) -> None:
        """Take what was opened off the list."""
        chosen = self._chosen
        if chosen is not None and chosen.is_typed:
            self._forget(chosen.key)
            self._list([known for known in self._listed if known is not chosen])

    def action_load(self) -> None:
        """Fetch the selected source from the hub."""
        if self._row is not None:
            self._asked.add((self._row.collection, self._row.index))
            self._read_missing()
            self._show()

    def action_again(self) -> None:
        """Read recipes and data anew, since files change."""
        self._trouble.clear()
        if self._chosen is not None:
            self._forget(self._chosen.key)
        self._find()

    def _forget(self, key: str) -> None:
        if key == self._reader_of:
            self._stop()
        self._sets = {place: sets for place, sets in self._sets.items() if place[0] != key}

    def action_leave(self) -> None:
        """Put the line for paths away."""
        box = self.query_one("#path", Input)
        box.value = ""
        box.display = False
        self.set_focus(self.query_one(OptionList))
        self.refresh_bindings()

    def on_resize(self) -> None:
        """Show the columns there is room for."""
        self._show()


def _option(one: Collection) -> Content:
    title = one_line(one.title, 60)
    if one.error is not None:
        return Content.assemble(title, ("\n  ✗ cannot be read", "$text-error"))
    sources = "" if one.is_typed else plural(len(one.sources), "source")
    facts = [sources, one_line(one.place, 60).plain]
    about = " · ".join(filter(None, facts))
    return Content.assemble(title, (f"\n  {about}", "dim"))
