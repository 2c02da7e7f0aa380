"""Adding a data set: its place, its columns, and how its rows will read."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.timer import Timer
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.preview.client import PreviewClient
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.quantities import plural, size

from ..shared.dialog import Dialog
from ..shared.places import Places
from ..shared.recovery import Recovering
from ..shared.words import lines, muted, one_line, safe
from .mapping import FIELDS, VALUES, ColumnTable, Mapping, example_of, usual_of
from .measures import Measure, measure_from, shots_that_fit
from .paths import Candidate, candidates, shared_start
from .reading import facts_of
from .sets import is_remote

AFTER = 0.25  # seconds after the last key
SHOWN = 6  # paths that go on as typed


@dataclass(frozen=True)
class Seen:
    """What the process said of a table."""

    table: dict[str, Any]
    columns: dict[str, Any] = field(default_factory=dict)
    measure: Measure | None = None
    size: str = ""
    trouble: str = ""


class AddScreen(Dialog, Recovering):
    """Gives back the table of a data set, or the path of a recipe; None if it was left."""

    CSS_PATH = "add.tcss"
    AUTO_FOCUS = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "add", "Add", id="add.add", priority=True),
        Binding("tab", "complete", "Complete", id="add.complete", priority=True),
        Binding("down", "paths", "Paths", id="add.paths", show=False),
        Binding("ctrl+b", "drop", "Bad rows", id="add.drop", tooltip="Leave out, or refuse"),
        Binding("escape", "leave", "Cancel", id="add.cancel"),
    ]

    class Heard(Message):
        """Paths were found, or the process said what a table gives."""

        def __init__(self, found: "list[Candidate] | Seen") -> None:
            super().__init__()
            self.found = found

    def __init__(self, source: TaskSource | None = None) -> None:
        super().__init__()
        self._client = PreviewClient()
        self._mapping = Mapping(facts_of(source) if source else {"source": ""})
        self._seen: Seen | None = None
        self._paths: list[Candidate] = []
        self._due: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay path and columns out, beside or over what they give."""
        yield Places("data")
        yield Static("Add a data set", id="title")
        with Horizontal(id="path_line"):
            yield Static("path or hub id ", classes="name")
            yield Input(self._mapping.table["source"], id="path", compact=True)
        yield OptionList(id="paths")
        with Horizontal(id="halves"):
            with Vertical(id="mapper"):
                yield ColumnTable()
                for name in FIELDS:
                    with Horizontal(classes="field"):
                        yield Static(name, classes="name")
                        values = VALUES.get(name)
                        hint = SuggestFromList(values, case_sensitive=False) if values else None
                        text = self._mapping.text(name)
                        yield Input(text, id=name, compact=True, suggester=hint)
            with VerticalScroll(id="reads", can_focus=False):
                yield Static()
        yield Footer()

    def on_mount(self) -> None:
        """Look at the path that was given."""
        self.query_one("#paths").display = False
        self._changed()

    def on_unmount(self) -> None:
        """Read no further."""
        self._client.close()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.input.id == "path":
            if event.value.strip() == self._mapping.table["source"]:
                return
            self._mapping = Mapping({"source": event.value.strip()})
            self._seen = None
        else:
            self._mapping.put(str(event.input.id), event.value)
        self._changed()

    def _changed(self) -> None:
        if self._due is not None:
            self._due.stop()
        self._due = self.set_timer(AFTER, self._look)
        self._draw()

    def _look(self) -> None:
        if self._client.is_busy:  # with what is of no use any more
            self._client.close()
            self._client = PreviewClient()
        self._ask(dict(self._mapping.table), self._client)

    @work(thread=True, exclusive=True, exit_on_error=False, group="look")
    def _ask(self, table: dict[str, Any], client: PreviewClient) -> None:
        text = table["source"]
        self.post_message(self.Heard(candidates(text, SHOWN)))
        if not text or text.endswith(".toml"):
            return
        try:
            for seen in _steps(table, client):
                self.post_message(self.Heard(seen))
        except Cancelled:
            return

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        found = message.found
        if isinstance(found, Seen):
            if found.table == self._mapping.table:
                self._seen = found
                self._propose(found)
        else:
            self._show_paths(found)
        self._draw()

    def _propose(self, seen: Seen) -> None:
        """Fill in what the process found, where nobody has said otherwise."""
        table = self._mapping.table
        for key, value in {
            **seen.columns.get("keys", {}),
            **seen.columns.get("proposed", {}),
        }.items():
            if key not in table and (key in FIELDS or key != "source"):
                table[key] = value
                if key in FIELDS:
                    self.query_one(f"#{key}", Input).value = str(value)
        if table != seen.table:
            self._changed()

    def _show_paths(self, found: list[Candidate]) -> None:
        self._paths = found
        text = self.query_one("#path", Input).value
        options = self.query_one("#paths", OptionList)
        options.clear_options()
        exact = len(found) == 1 and found[0].text == text and not found[0].is_folder
        options.display = bool(found) and not exact and self.focused is self.query_one("#path")
        widest = max((one_line(one.text, 70).cell_length for one in found), default=0)
        for one in found:
            name = one_line(one.text, 70)
            gap = " " * (widest - name.cell_length + 2)
            line = Content.assemble(name, gap, muted(one.about))
            options.add_option(Option(line, id=one.text))

    @on(OptionList.OptionSelected, "#paths")
    def _picked(self, event: OptionList.OptionSelected) -> None:
        box = self.query_one("#path", Input)
        box.value = event.option.id or ""
        box.focus()
        box.cursor_position = len(box.value)

    def action_paths(self) -> None:
        """Go down into the paths that go on as typed."""
        options = self.query_one("#paths", OptionList)
        if options.display and self.focused is self.query_one("#path"):
            options.focus()
            options.highlighted = 0
        else:
            self.focus_next()

    def action_complete(self) -> None:
        """Go on as far as all paths are alike; where there is nothing to add, to the next field."""
        box = self.query_one("#path", Input)
        longer = shared_start(self._paths) if self.focused is box else ""
        if len(longer) > len(box.value):
            box.value = longer
            box.cursor_position = len(longer)
        else:
            self.query_one("#paths").display = False
            self.focus_next()

    @on(ColumnTable.Chosen)
    def _column_chosen(self, message: ColumnTable.Chosen) -> None:
        field_box = self.query_one(f"#{message.role}", Input)
        field_box.value = message.name  # told as if it was typed

    def action_drop(self) -> None:
        """Leave bad rows out, or refuse the data set for them."""
        table = self._mapping.table
        if table.pop("bad_rows", None) is None:
            table["bad_rows"] = "drop"
        self._changed()

    @on(Input.Submitted)
    def action_add(self) -> None:
        """Give the data set back, if it can be read."""
        table = self._mapping.table
        if str(table["source"]).endswith(".toml"):
            self.dismiss(table["source"])
            return
        try:
            source = TaskSource(**table)
        except ValueError:
            return  # what is wrong is on the screen
        if table["source"]:
            self.dismiss(source)

    def action_leave(self) -> None:
        """Leave without adding."""
        self.dismiss(None)

    def recover(self, group: str, words: str) -> None:
        """Say what went wrong where the rows would be."""
        self._seen = Seen(dict(self._mapping.table), trouble=words)
        self._draw()

    def _draw(self) -> None:
        seen = self._seen
        columns = seen.columns if seen else {}
        self.query_one(ColumnTable).show(columns.get("columns", []), columns)
        self.query_one("#mapper").display = bool(columns.get("columns"))
        for name, value in usual_of(columns, self._mapping.table).items():
            self.query_one(f"#{name}", Input).placeholder = value
        self.query_one("#reads Static", Static).update(lines(self._said(seen)))

    def _said(self, seen: Seen | None) -> list[Content]:
        table = self._mapping.table
        if not table["source"]:
            return [
                muted("A file, a folder, files by *, a recipe, or the id of a data set on the hub.")
            ]
        if str(table["source"]).endswith(".toml"):
            return [muted("A recipe: enter puts it on the list.")]
        if seen is None:
            return [muted("looking …")]
        said: list[Content] = []
        if trouble := seen.trouble or seen.columns.get("trouble", ""):
            if self.query_one("#paths").display:
                return [muted("tab goes on, ↓ chooses")]
            said += [safe(trouble, 500).stylize("$text-error")]
            said += [safe(seen.columns.get("hint", ""), 500), Content("")]
        if seen.size:
            said += [safe(seen.size, 200), Content("")]
        said += example_of(seen.columns, table)
        if seen.measure is not None:
            count = plural(seen.measure.median, "token")
            said += [
                Content(""),
                Content.assemble(f"{count} a row · ", shots_that_fit(seen.measure)),
            ]
        return said


def _steps(table: dict[str, Any], client: PreviewClient) -> Any:
    """Yield what is known of a table, more each time; of the hub its size alone."""
    try:
        source = TaskSource(**table)
        if is_remote(source):
            yield Seen(table, size="asking the hub how large it is …")
            yield Seen(table, size=_size_of(client.call("size", id=source.source)))
            return
        columns = client.call("columns", source=table)
        yield Seen(table, columns)
        if "examples" in columns:
            told = client.call("tokens", source=table | columns["keys"], model="tiny")
            measures = [measure_from(one) for one in told["sets"].values()]
            yield Seen(table, columns, measures[0] if measures else None)
    except Cancelled:
        raise
    except (YofoError, ValueError) as error:
        hint = getattr(error, "hint", "")
        yield Seen(table, {"trouble": getattr(error, "message", str(error)), "hint": hint})


def _size_of(told: dict[str, Any]) -> str:
    files = plural(told["files"], "file")
    here = f"; {size(told['here'])} of it are here" if told["here"] else ""
    return (
        f"on the hub: {size(told['nbytes'])} in {files}{here}. enter lists it, l there fetches it"
    )
