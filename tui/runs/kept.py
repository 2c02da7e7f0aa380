"""Tabs of what lies in a run's folder: its recipe, its files."""

from dataclasses import dataclass
from typing import Final

from textual import on, work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from yofo_mlx.runs.folder import Run
from yofo_mlx.system.files import size_of
from yofo_mlx.system.quantities import size

from ..shared.clock import moment
from ..shared.table import Cell, Column, ListTable
from ..shared.words import MUTED, lines, muted, safe
from .view import RunView

MOST: Final = 200_000  # characters of a recipe
WHAT: Final = {
    "recipe.toml": "the recipe as it was resolved",
    "run.json": "versions, machine, data, the recipe it began with",
    "events.jsonl": "what happened, a line each",
    "past.jsonl": "what a resume took back",
    "console.log": "what the trainer printed",
    "lock": "held while it trains",
    "stop": "asks it to stop",
    "checkpoints": "from which it can go on",
    "adapter": "the best one, for use",
    "evaluations": "what was measured of it",
}


class RecipeTab(VerticalScroll):
    """The recipe of a run as its folder has it."""

    HELP = (
        "The recipe with which the run began, every name in it looked up. An edit of it changes "
        "nothing that was trained: start a run anew with n."
    )

    DEFAULT_CSS = "RecipeTab { padding: 0 1; }"

    class Loaded(Message):
        """The recipe was read."""

        def __init__(self, run: Run, text: str) -> None:
            super().__init__()
            self.run, self.text = run, text

    def __init__(self) -> None:
        super().__init__(id="recipe-tab")
        self._of: tuple[Run, bool] | None = None

    def compose(self) -> ComposeResult:
        """Leave room for the text."""
        yield Static()

    def follow(self, view: RunView) -> None:
        """Show the recipe of a run."""
        if (of := (view.run, view.made.is_edited)) != self._of:
            self._of = of
            self._load(view.run)

    @work(thread=True, exclusive=True, exit_on_error=False, group="recipe")
    def _load(self, run: Run) -> None:
        try:
            with run.recipe_path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(MOST)
        except OSError as error:
            text = f"# {error}"
        self.post_message(self.Loaded(run, text))

    @on(Loaded)
    def _loaded(self, message: Loaded) -> None:
        if self._of is None or message.run != self._of[0]:
            return
        said = [muted(str(message.run.recipe_path)), Content("")]
        if self._of[1]:
            words = "! It was edited since the run began: what was trained counts."
            said[1:1] = [Content.styled(words, "$text-warning")]
        said += [_coloured(line) for line in message.text.split("\n")]
        self.query_one(Static).update(lines(said))


def _coloured(line: str) -> Content:
    """Return a line of TOML with its sections and comments told apart."""
    shown = safe(line)
    if line.lstrip().startswith("#"):
        return shown.stylize(MUTED)
    if line.startswith("["):
        return shown.stylize("bold")
    key, equals, value = shown.plain.partition(" = ")
    return Content.assemble((key, MUTED), (equals, MUTED), value) if equals else shown


@dataclass(frozen=True)
class Entry:
    """A file or folder of a run."""

    name: str
    nbytes: int
    changed: float


class FilesTab(ListTable):
    """What lies in the folder of a run, and how large it is."""

    HELP = (
        "A run is this folder and nothing else: it may be copied to another machine. Checkpoints "
        "are what it goes on from; the adapter is what is used. y copies the path."
    )

    class Listed(Message):
        """The folder was read."""

        def __init__(self, run: Run, entries: list[Entry]) -> None:
            super().__init__()
            self.run, self.entries = run, entries

    def __init__(self) -> None:
        super().__init__()
        self.id = "files-tab"
        self._view: RunView | None = None

    def follow(self, view: RunView) -> None:
        """List the files of a run."""
        if view is not self._view:
            self._view = view
            self._list(view.run)

    @work(thread=True, exclusive=True, exit_on_error=False, group="files")
    def _list(self, run: Run) -> None:
        entries = []
        for path in sorted(run.path.iterdir()) if run.path.is_dir() else ():
            try:
                name = path.name + ("/" if path.is_dir() else "")
                entries.append(Entry(name, size_of(path), path.lstat().st_mtime))
            except OSError:  # gone meanwhile
                continue
        self.post_message(self.Listed(run, entries))

    @on(Listed)
    def _listed(self, message: Listed) -> None:
        if self._view is None or message.run != self._view.run:
            return
        columns = [Column("file"), Column("size", True), Column("changed"), Column("")]
        rows = [
            [
                Cell(one.name),
                Cell(size(one.nbytes)),
                Cell(moment(one.changed)),
                Cell(WHAT.get(one.name.rstrip("/"), ""), MUTED),
            ]
            for one in message.entries
        ]
        self.fill(columns, [one.name for one in message.entries], rows)
