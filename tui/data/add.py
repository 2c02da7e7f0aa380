"""Adding a data set: its place, its columns, and how its rows will read."""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.preview.client import PreviewClient
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.recipe.names import EMBEDDED
from yofo_mlx.recipe.schema import TaskSource

from ..shared.dialog import Dialog
from ..shared.key_line import KeyLine
from ..shared.places import Places
from ..shared.recipe_list import RecipesScreen
from ..shared.recipes import find_recipes
from ..shared.recovery import Recovering
from ..shared.words import lines, muted, one_line, safe
from .fixing import append_task
from .mapping import FIELDS, HELP, MORE, VALUES, ColumnTable, Mapping, example_of, usual_of
from .paths import Candidate, shared_start
from .reading import facts_of
from .seen import Seen, looked_at, summed_up

AFTER = 0.25  # seconds after the last key
NOTHING = (
    "A file, a folder, files by *, a recipe, or the id of a data set on the hub.\n"
    "What is no file here is looked for on the hub: a word of its id is enough."
)


class AddScreen(Dialog, Recovering):
    """Gives back the table of a data set, or the path of a recipe; None if it was left."""

    CSS_PATH = "add.tcss"
    AUTO_FOCUS = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "add", "Add", id="add.add", priority=True),
        Binding("tab", "complete", "Complete", id="add.complete", priority=True),
        Binding("down", "paths", "Paths", id="add.paths", show=False),
        Binding("ctrl+b", "drop", "Bad rows", id="add.drop", tooltip="Leave out, or refuse"),
        Binding("ctrl+a", "to_recipe", "To a recipe", id="add.to_recipe", priority=True),
        Binding("pageup", "page(-1)", "Rows before", id="add.before", show=False),
        Binding("pagedown", "page(1)", "Rows after", id="add.after", show=False),
        Binding("escape", "leave", "Cancel", id="add.cancel"),
    ]

    class Heard(Message):
        """Paths were found, or the process said what a table gives."""

        def __init__(self, found: "list[Candidate] | Seen") -> None:
            super().__init__()
            self.found = found

    class Written(Message):
        """A recipe has the data set now, or why not."""

        def __init__(self, recipe: Path, wrong: YofoError | None) -> None:
            super().__init__()
            self.recipe, self.wrong = recipe, wrong

    def __init__(self, source: TaskSource | None = None, model: str = EMBEDDED) -> None:
        """`model`: whose tokens are counted."""
        super().__init__()
        self._model = model
        self._client = PreviewClient()
        self._mapping = Mapping(facts_of(source) if source else {"source": ""})
        self._seen: Seen | None = None
        self._paths: list[Candidate] = []
        self._paths_of: str | None = None  # the text that they go on from
        self._to_complete: str | None = None  # a text, once its paths are found
        self._due: Timer | None = None
        self._is_wanted = False  # as soon as it was looked at

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
            with Vertical(id="right"):
                yield Static(id="sum")
                with VerticalScroll(id="reads", can_focus=False):
                    yield Static()
        yield KeyLine()

    def on_mount(self) -> None:
        """Look at the path that was given."""
        for name, words in HELP.items():
            self.query_one(f"#{name}").tooltip = words
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
            self._seen, self._is_wanted = None, False
            for name in FIELDS:  # what was said of another place
                with self.prevent(Input.Changed):
                    self.query_one(f"#{name}", Input).value = ""
        else:
            before = dict(self._mapping.table)
            self._mapping.put(str(event.input.id), event.value)
            if self._mapping.table == before:
                self._draw()  # what is wrong with it, if anything
                return
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
        try:
            for found in looked_at(table, self._model, client):
                self.post_message(self.Heard(found))
        except Cancelled:
            return

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        found = message.found
        if isinstance(found, Seen):
            if found.table == self._mapping.table:
                self._seen, is_found = found, found.tells_of(self._mapping.table)
                self._propose(found)
                if self._is_wanted and is_found:
                    self._is_wanted = False
                    if found.table == self._mapping.table:  # else the user looks first
                        self.action_add()
        elif self.query_one("#path", Input).value.strip() == self._mapping.table["source"]:
            self._show_paths(found)
        self._draw()

    def _propose(self, seen: Seen) -> None:
        """Fill in what the process found, where nobody has said otherwise."""
        table = self._mapping.table
        for key, value in {
            **seen.columns.get("keys", {}),
            **seen.columns.get("proposed", {}),
        }.items():
            if key not in table and key != "source":
                table[key] = value
                field = key if key in FIELDS else MORE
                self.query_one(f"#{field}", Input).value = self._mapping.text(field)
        if table != seen.table:
            self._changed()

    def _show_paths(self, found: list[Candidate]) -> None:
        text = self.query_one("#path", Input).value
        self._paths, self._paths_of = found, text
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
        if self._to_complete == text:
            self.action_complete()

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
        waits = self.focused is box and self._paths_of != box.value
        self._to_complete = box.value if waits else None
        if waits:
            return
        longer = shared_start(self._paths) if self.focused is box else ""
        goes_on = longer.casefold().startswith(box.value.casefold()) or len(self._paths) == 1
        if longer != box.value and len(longer) >= len(box.value) and goes_on:
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
        """Give the data set back, if it can be read; one that is looked at now, once it was."""
        text, seen = self._mapping.table["source"], self._seen
        is_seen = seen is not None and seen.tells_of(self._mapping.table)
        if text.endswith(".toml"):
            self.dismiss(text)
        elif text and not (is_seen or self._is_wanted):
            self._is_wanted = True
            self.query_one("#paths").display = False
            self._draw()
        elif (source := self._source()) is not None:
            self.dismiss(source)

    def _source(self) -> TaskSource | None:
        """Return what was typed, if it can be read; what is wrong with it is on the screen."""
        table, seen = self._mapping.table, self._seen
        if self._mapping.wrong:
            return None
        if seen is not None and seen.table == table and seen.is_hopeless:
            self.query_one("#paths").display = False
            self._draw()
            return None
        try:
            return TaskSource(**table) if table["source"] else None
        except ValueError:
            return None

    def action_to_recipe(self) -> None:
        """Write the data set into one of the user's recipes."""
        source = self._source()
        own = [path for path in find_recipes() if path not in shipped_recipes()]
        if source is None:
            self.notify("There is no data set to write into a recipe yet.", severity="warning")
        elif not own:
            words = "No recipe of yours is in this folder.\nyofo recipes copy tiny makes one."
            self.notify(words, severity="warning", markup=False)
        else:
            title = "Write it into which recipe?"
            write = partial(self._write_if, facts_of(source))
            self.app.push_screen(RecipesScreen(own, title=title), write)

    def _write_if(self, table: dict[str, Any], recipe: Path | None) -> None:
        if recipe is not None:
            self._write(recipe, table)

    @work(thread=True, exclusive=True, exit_on_error=False, group="write")
    def _write(self, recipe: Path, table: dict[str, Any]) -> None:
        wrong = None
        try:
            append_task(recipe, table)
        except YofoError as error:
            wrong = error
        self.post_message(self.Written(recipe, wrong))

    @on(Written)
    def _written(self, message: Written) -> None:
        if wrong := message.wrong:
            self.notify(f"{wrong.message}\n{wrong.hint}", severity="error", markup=False)
        else:
            words = f"{self._mapping.table['source']} is in {message.recipe.name}"
            self.app.notify(safe(words, 200).plain, title="Written", markup=False)
            self.dismiss(None)

    def action_page(self, pages: int) -> None:
        """Leaf through what the rows read like."""
        reads = self.query_one("#reads")
        reads.scroll_relative(y=pages * max(1, reads.size.height - 1), animate=False)

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
        self.query_one(ColumnTable).display = bool(columns.get("columns"))
        completes = self.query_one("#paths").display
        has_fields = seen is not None and (seen.has_columns or (seen.is_hopeless and not completes))
        self.query_one("#mapper").display = has_fields
        for name, value in usual_of(columns, self._mapping.table).items():
            self.query_one(f"#{name}", Input).placeholder = value
        summed = summed_up(seen, self._model) if seen else Content()
        self.query_one("#sum", Static).update(summed)
        self.query_one("#sum", Static).display = bool(summed.plain)
        self.query_one("#reads Static", Static).update(lines(self._said(seen)))

    def _said(self, seen: Seen | None) -> list[Content]:
        table = self._mapping.table
        if not table["source"]:
            return [muted(NOTHING)]
        if str(table["source"]).endswith(".toml"):
            return [muted("A recipe: enter puts it on the list.")]
        if self._mapping.wrong:
            return [safe(self._mapping.wrong, 300).stylize("$text-error")]
        trouble = seen.trouble or seen.columns.get("trouble", "") if seen else ""
        if self.query_one("#paths").display and (seen is None or trouble or not seen.columns):
            return [muted("tab goes on, ↓ chooses")]
        if seen is None:
            return [muted("looking …")]
        said: list[Content] = []
        if trouble:
            said += [safe(trouble, 500).stylize("$text-error")]
            said += [safe(seen.columns.get("hint", ""), 500), Content("")]
        if seen.size:
            said += [safe(seen.size, 200), Content("")]
        return said + example_of(seen.columns, table)
