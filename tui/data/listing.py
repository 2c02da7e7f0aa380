"""The data sets at hand: found, read and measured while one looks at them."""

import time
from typing import Any

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import DataTable, OptionList
from textual.widgets.option_list import Option

from yofo_mlx.preview.client import PreviewClient
from yofo_mlx.preview.facts import DataSet
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.quantities import duration

from ..shared.recipes import near
from ..shared.words import lines, muted, one_line, safe
from .detail import DataDetail
from .looking import Looking
from .measures import Measure
from .reading import Done, Heard, Measured, Reading, measure, read
from .sets import Collection, collections, of_table, remembered
from .table import ORDERS, DataTableOfSets, SetRow, ordered

READ_AFTER = 0.2  # seconds on a collection: who passes by starts nothing
EMPTY = Content.assemble(
    ("No recipes here, so no data sets yet.\n\n", "bold"),
    "Press ", ("a", "bold $text-accent"), " and type the path of a file or folder of labelled\n"
    "examples (JSONL, JSON, CSV, Parquet), or type in a shell\n\n",
    ("  yofo recipes copy tiny", "$text-primary"),
)  # fmt: skip


class CollectionList(OptionList):
    """The recipes at hand, and what the user added."""

    HELP = """Recipes, each with its data sets, and behind them what you have added: `a` adds a
file, a folder or a data set of the hub, `D` takes it off the list, never from the disk. `enter`
goes to the data sets."""


class DataListing(Looking):
    """A screen with a list of collections, a table of their data sets, and one of them in full."""

    class Found(Message):
        """The recipes at hand were read, and what the user had added."""

        def __init__(self, found: list[Collection], added: list[Collection]) -> None:
            super().__init__()
            self.found, self.added = found, added

    class Told(Message):
        """The process that reads a collection said something; None: that was all."""

        def __init__(self, key: str, client: PreviewClient, said: Heard | None) -> None:
            super().__init__()
            self.key, self.client, self.said = key, client, said

    def __init__(self) -> None:
        super().__init__()
        self._collections: list[Collection] | None = None  # None until they were looked for
        self._sets: dict[tuple[str, int], list[DataSet]] = {}  # by collection and source
        self._measures: dict[tuple[str, int], Measured] = {}
        self._asked: set[tuple[str, int]] = set()  # hub sources the user wants
        self._reads = ""  # which collection is being read
        self._read_since, self._reading = 0.0, Reading("", 0, 0)
        self._due: Timer | None = None
        self.trouble: dict[str, str] = {}  # what failed in an unknown way, by group
        self.order, self.filter = ORDERS[0], ""

    def on_screen_resume(self) -> None:
        """Look for recipes: some may have come, changed or gone."""
        self.find()

    def on_unmount(self) -> None:
        """Read no further."""
        self._client.close()

    @work(thread=True, exclusive=True, exit_on_error=False, group="find")
    def find(self) -> None:
        """Look for recipes."""
        found = collections()
        added = self._kept() if self._collections is None else []
        self.post_message(self.Found(found, added))

    @on(Found)
    def _found(self, message: Found) -> None:
        self.trouble.pop("find", None)
        before = self.listed or message.added
        keys = {one.key for one in message.found}
        for one in message.found:
            if one not in before:
                self.forget(one.key)
        typed = [known for known in before if known.is_typed and known.key not in keys]
        self.put(message.found + typed)

    @property
    def choices(self) -> Any:
        """Return what the app remembers."""
        return self.app.choices  # type: ignore[attr-defined]

    @property
    def listed(self) -> list[Collection]:
        """Return the collections, none before they were looked for."""
        return self._collections or []

    def put(self, found: list[Collection], highlight: str | None = None) -> None:
        """List these collections."""
        options, before = self.query_one(OptionList), self.chosen
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

    def remember(self) -> None:
        """Keep what the user has added for the next time."""
        tables = [remembered(one) for one in self.listed if one.is_typed and one.error is None]
        self.choices.keep("data", "opened", [table["source"] for table in tables])
        self.choices.keep("data", "tables", [table for table in tables if len(table) > 1])

    def _kept(self) -> list[Collection]:
        tables = self.choices.get("data", "tables", [])
        known = {table["source"]: table for table in tables if "source" in table}
        paths = [path for path in self.choices.get("data", "opened", []) if isinstance(path, str)]
        unique = dict.fromkeys(paths)  # it is a file that anyone may edit
        return [of_table(known.get(path, {"source": path})) for path in unique]

    @property
    def chosen(self) -> Collection | None:
        """Return the collection under the cursor."""
        listed = self.query_one_optional(OptionList)
        index = None if listed is None else listed.highlighted  # not yet laid out: there is none
        known = index is not None and index < len(self.listed)
        return self.listed[index] if known and index is not None else None

    @on(OptionList.OptionHighlighted)
    def _turned(self) -> None:
        """Show the collection, and read it once the cursor rests on it."""
        chosen = self.chosen
        if self._reads and (chosen is None or chosen.key != self._reads):
            self._stop()
        if self._due is not None:
            self._due.stop()
        self._due = self.set_timer(READ_AFTER, self.read_missing)
        self.show()

    @on(OptionList.OptionSelected)
    def _to_table(self) -> None:
        self.query_one(DataTableOfSets).focus()

    def _stop(self) -> None:
        self._client.close()
        self._client, self._reads = PreviewClient(), ""

    def read_missing(self) -> None:
        """Read and measure what is not known of the chosen collection."""
        chosen = self.chosen
        if chosen is None or self._reads:
            return
        near = {
            index: source
            for index, (source, far) in enumerate(zip(chosen.sources, chosen.on_hub, strict=True))
            if not far or (chosen.key, index) in self._asked
        }
        unread = {i: one for i, one in near.items() if (chosen.key, i) not in self._sets}
        uncounted = {i: one for i, one in near.items() if (chosen.key, i) not in self._measures}
        if unread or uncounted:
            self._reads, self._read_since = chosen.key, time.monotonic()
            self._reading = Reading("", 0, 0)
            self._read(chosen.key, self._client, unread, uncounted, self.model)

    @work(thread=True, exclusive=True, exit_on_error=False, group="read")
    def _read(
        self,
        key: str,
        client: PreviewClient,
        unread: dict[int, TaskSource],
        uncounted: dict[int, TaskSource],
        model: str,
    ) -> None:
        def tell(said: Heard | None) -> None:
            self.post_message(self.Told(key, client, said))

        read(client, unread, tell)
        measure(client, uncounted, model, tell)
        tell(None)

    @on(Told)
    def _heard(self, message: Told) -> None:
        said, is_current = message.said, message.client is self._client
        if isinstance(said, Done):
            self._sets[message.key, said.index] = said.sets
        elif isinstance(said, Measured) and is_current:
            self._measures[message.key, said.index] = said
        elif is_current and said is None:
            self._reads = ""
            self.read_missing()  # what was asked for meanwhile
        elif is_current and isinstance(said, Reading):
            self._reading = said
            return
        if self.chosen is not None and self.chosen.key == message.key:
            self.show()

    def _tick(self) -> None:
        if self._reads and self.is_current:
            self._show_detail()

    def recover(self, group: str, words: str) -> None:
        """Say below what failed; F5 tries again."""
        self.trouble[group] = words
        self._reads = "" if group == "read" else self._reads
        if self._collections is None:
            self._collections = []
        self.show()

    def _rows(self) -> list[SetRow]:
        chosen = self.chosen
        if chosen is None:
            return []
        rows: list[SetRow] = []
        for index, source in enumerate(chosen.sources):
            found = self._sets.get((chosen.key, index))
            sets: list[DataSet | None] = [None] if found is None else [*found]
            told = self._measures.get((chosen.key, index))
            rows += [
                SetRow(
                    chosen.key,
                    index,
                    source,
                    data,
                    told.measures.get(data.name) if told and data else None,
                )
                for data in sets
            ]
        return ordered([row for row in rows if row.holds(self.filter)], self.order)

    def show(self) -> None:
        """Show what is known now."""
        self.query_one(DataTableOfSets).show(self._rows(), self.size.width)
        self._show_detail()

    @on(DataTable.RowHighlighted, "DataTableOfSets")
    def _moved(self) -> None:
        self._show_detail()

    def _show_detail(self) -> None:
        row = self.row
        data, whole, role = (row.data, row.collection, row.source.role) if row else (None, "", "")
        self.query_one(DataDetail).show(data, self._words(row), whole, self.model, role)
        self.look()
        self.refresh_bindings()

    @property
    def row(self) -> SetRow | None:
        """Return the row under the cursor; none while the table shows another collection."""
        table, chosen = self.query_one_optional(DataTableOfSets), self.chosen
        row = table.selected if table else None  # keys are asked for before there is one
        return row if row is not None and chosen and chosen.key == row.collection else None

    def measured(self, row: SetRow) -> tuple[Measure | None, str]:
        """Return a row's measure, or why there is none."""
        told = self._measures.get((row.collection, row.index))
        return row.measure, told.trouble if told else ""

    def _words(self, row: SetRow | None) -> Content:
        chosen = self.chosen
        if self.trouble:
            said = "; ".join(f"{group}: {words}" for group, words in self.trouble.items())
            again = Content.assemble("Press ", ("F5", "bold $text-accent"), " to try again.")
            return lines([safe(said).stylize("$text-error"), again])
        if chosen is None:
            return muted("looking for recipes …") if self._collections is None else EMPTY
        if chosen.error is not None:
            wrong = safe(chosen.error.message).stylize("$text-error")
            return lines([wrong, safe(chosen.error.hint)])
        if row is None and self.filter:
            return muted(safe(f"no data set holds {self.filter!r}; escape shows all", 200).plain)
        if row is not None and self.waits_for_key(row):
            where = one_line(row.source.source, 80) + " is on the hub. Press "
            return Content.assemble(where, ("l", "bold $text-accent"), " to load it.")
        return muted(self._progress())

    def _progress(self) -> str:
        """Say what is read, how far, and for how long."""
        if not self._reads:
            return "reading …"
        now = self._reading
        of = f" of {now.total:,}" if now.total else ""
        far = f" {now.done:,}{of}" if now.done else ""
        taken = duration(time.monotonic() - self._read_since)
        return f"{one_line(near(now.what or 'reading'), 120).plain}{far} … {taken}"

    def waits_for_key(self, row: SetRow) -> bool:
        """Tell whether a source lies on the hub and was not asked for."""
        chosen = self.chosen
        far = chosen is not None and chosen.on_hub[row.index]
        return far and row.data is None and (row.collection, row.index) not in self._asked

    def load(self, row: SetRow) -> None:
        """Fetch a source from the hub."""
        self._asked.add((row.collection, row.index))
        self.read_missing()
        self.show()

    def forget(self, key: str) -> None:
        """Read a collection anew the next time."""
        if key == self._reads:
            self._stop()
        self.forget_looks(key)
        self._sets = {place: sets for place, sets in self._sets.items() if place[0] != key}
        self.forget_measures(key)

    def forget_measures(self, key: str = "") -> None:
        """Count the tokens of a collection anew, without a key of all of them."""
        kept = {place: told for place, told in self._measures.items() if key and place[0] != key}
        self._measures = kept

    def on_resize(self) -> None:
        """Show the columns there is room for."""
        self.show()


def _option(one: Collection) -> Content:
    title = one_line(one.title, 60)
    if one.error is not None:
        return Content.assemble(title, ("\n  ✗ cannot be read", "$text-error"))
    return Content.assemble(title, (f"\n  {one_line(one.place, 60).plain}", "dim"))
