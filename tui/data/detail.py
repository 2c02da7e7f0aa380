"""One data set in full: a tab each for its rows, tokens, labels, problems, and how it is read."""

import shlex

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from yofo_mlx.preview.facts import DataSet
from yofo_mlx.system.quantities import plural

from ..shared.recipes import near
from ..shared.words import MUTED, lines, muted, one_line
from .episode import Passage, drawn
from .examples import ExampleTable, Rows
from .measures import Measure, label_bars, lengths, shots_that_fit
from .paths import file_size
from .problems import Problems, ProblemTable
from .tabs import NAMES, DataTabs

SIDE = 50  # columns of the pictures beside the examples
WIDE, TALL = 110, 34  # of the terminal, from which there is room for them, and for problems below


class DataDetail(Vertical):
    """Shows the selected data set."""

    class Turned(Message):
        """Another tab was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.tab = "examples"
        self.by_token = False
        self._data: DataSet | None = None
        self._measure: Measure | None = None
        self._passage: Passage | None = None
        self._model = self._whole = self._trouble = self._role = ""

    def compose(self) -> ComposeResult:
        """Lay all tabs out; one is seen at a time."""
        yield DataTabs()
        yield VerticalScroll(Static(id="words"), id="message")
        with Horizontal(id="examples"):
            yield ExampleTable()
            yield Static(id="side")
        yield VerticalScroll(Static(id="episode"), id="tokens")
        yield VerticalScroll(Static(id="bars"), id="labels")
        yield Problems()
        yield VerticalScroll(Static(id="facts"), id="about")

    def show(self, data: DataSet | None, words: Content, whole: str, model: str, role: str) -> None:
        """Show a data set, or words where there is none; `whole`: what `data check` takes."""
        self._data, self._whole, self._model, self._role = data, whole, model, role
        self.query_one("#words", Static).update(words)
        self.draw()

    def show_rows(self, rows: Rows) -> None:
        """Show rows of it."""
        self.query_one(ExampleTable).show(rows, self._examples_width)
        self.draw()

    def show_tokens(
        self, measure: Measure | None, passage: Passage | None, trouble: str = ""
    ) -> None:
        """Show what it takes in tokens, or why that is not known."""
        self._measure, self._passage, self._trouble = measure, passage, trouble
        self.draw()

    def turn(self, by: int) -> None:
        """Open the next tab, or the one before."""
        names = list(NAMES)
        self.open(names[(names.index(self.tab) + by) % len(names)])

    def open(self, tab: str) -> None:
        """Open a tab."""
        self.tab = tab
        self.draw()
        self.post_message(self.Turned())

    @on(DataTabs.Chosen)
    def _clicked(self, message: DataTabs.Chosen) -> None:
        message.stop()
        self.open(message.name)

    @property
    def is_wide(self) -> bool:
        """Whether pictures stand beside the examples."""
        return self.app.size.width >= WIDE

    @property
    def _examples_width(self) -> int:
        return self.app.size.width - (SIDE if self.is_wide else 0)

    def draw(self) -> None:
        """Draw what is known into the tab that is open."""
        data = self._data
        self.query_one("#message").display = data is None
        self.query_one(DataTabs).display = data is not None
        for name in ("examples", "tokens", "labels", "about"):
            self.query_one(f"#{name}").display = data is not None and name == self.tab
        problems = self.query_one(Problems)
        problems.display = data is not None and self._sees_problems(data)
        if data is None:
            return
        self.query_one(DataTabs).show(
            data.name, self.tab, data.errors + data.warnings, self._facts_of(data)
        )
        if problems.display:
            problems.show(data, _command(self._whole), self.app.size.width)
            problems.set_class(self.tab == "problems", "-whole")
        self._draw_tab(data)

    def _sees_problems(self, data: DataSet) -> bool:
        if self.tab == "problems":
            return True
        return self.tab == "examples" and bool(data.problems)

    def _draw_tab(self, data: DataSet) -> None:
        width = self.app.size.width - 3
        if self.tab == "examples":
            side = self.query_one("#side", Static)
            side.display = self.is_wide
            side.update(self._side(data))
        elif self.tab == "tokens":
            self.query_one("#episode", Static).update(self._episode())
        elif self.tab == "labels":
            bars = (
                label_bars(data.labels, data.label_count, min(width, 90), 10_000)
                if data.labels
                else muted("no labels: its answers are not of a few kinds")
            )
            self.query_one("#bars", Static).update(bars)
        elif self.tab == "about":
            self.query_one("#facts", Static).update(_about(data, self._role))
        if self.tab == "problems" and not data.problems:
            self.query_one(Problems).query_one(Static).update(_no_problems())
            self.query_one(Problems).query_one(Static).display = True
        self.query_one(ProblemTable).display = bool(data.problems)

    def _side(self, data: DataSet) -> Content:
        said: list[Content] = []
        height = self.query_one("#examples").size.height
        if data.labels:
            count = plural(data.label_count, "label")
            rows = max(3, height - 7)
            said += [_heading(count), label_bars(data.labels, data.label_count, SIDE - 4, rows)]
            said.append(Content(""))
        if any(data.counts):  # one that cannot be read has none to count
            said += [_heading(f"tokens a row, of {near(self._model)}"), self._tokens()]
        return lines(said)

    def _tokens(self) -> Content:
        if self._measure is not None:
            return lengths(self._measure, SIDE - 4)
        return muted(self._trouble or "counting …")

    def _episode(self) -> Content:
        said: list[Content] = []
        if self._measure is not None:
            said += [shots_that_fit(self._measure), Content("")]
        if self._passage is None:
            waits = self._data is not None and any(self._data.counts)
            words = "tokenizing …" if waits else "It has no row that can be read."
            return lines([*said, muted(self._trouble or words)])
        return lines([*said, drawn(self._passage, near(self._model), by_token=self.by_token)])

    def _facts_of(self, data: DataSet) -> str:
        names = ("train", "valid", "test")
        counts = [
            f"{count:,} {name}" for name, count in zip(names, data.counts, strict=True) if count
        ]
        return " · ".join(filter(None, [data.columns.replace("\n", "⏎"), ", ".join(counts)]))


def _heading(words: str) -> Content:
    return one_line(words, SIDE - 4).stylize("bold")


def _no_problems() -> Content:
    return Content.styled("✓ no problems found", "$text-success")


def _command(whole: str) -> str:
    return f"yofo data check --all {shlex.quote(near(whole))}"


def _about(data: DataSet, role: str) -> Content:
    """Return how it is read, a fact a line."""
    facts = [("place", near(data.place)), ("family", data.family), ("role", role.replace("_", " "))]
    facts += [("size", file_size(data.nbytes))] * bool(data.nbytes)
    facts += [("columns", data.columns)] * bool(data.columns)
    facts += [("instruction", data.instruction)] * bool(data.instruction)
    facts += [("read", note) for note in data.notes]
    wide = max(len(name) for name, _ in facts) + 2
    said = [
        Content.assemble((f"{name:<{wide}}", MUTED), one_line(value, 500)) for name, value in facts
    ]
    return lines(said)
