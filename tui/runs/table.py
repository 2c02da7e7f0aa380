"""The table of runs: by what they are ranked, as much of it as there is room for."""

import operator
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from textual import on
from textual.message import Message
from textual.widgets import DataTable

from yofo_mlx.runs.events import figure
from yofo_mlx.runs.folder import ENDED, TROUBLE
from yofo_mlx.system.quantities import duration, size

from ..shared.blocks import spark
from ..shared.clock import moment
from ..shared.table import Cell, Column, ListTable, head
from ..shared.words import MARKS, number, percent, status_mark
from .view import RunView

MODEL: Final = 16  # characters of a model's name
LEAST_RUN: Final = 18
MOST_RUN: Final = 40
SPARK: Final = 7
IN_WORDS: Final = 96  # width of a terminal from which a status is a word beside its mark
MARKED: Final = "◆"


@dataclass(frozen=True)
class Field:
    """A column of the table, what is in it, and by what it orders runs."""

    heading: str
    text: Callable[[RunView], str]
    key: Callable[[RunView], float | str | None]  # None: the run comes last
    is_most_first: bool = False
    rank: int = 0  # those of the highest rank go first where there is no room
    is_number: bool = True
    style: Callable[[RunView], str] = lambda view: ""


def _loss(view: RunView) -> str:
    now = number(figure(view.step, "loss"))
    bars = spark([loss for _, loss in view.losses], SPARK)
    return f"{bars:<{SPARK}} {now:>5}" if bars else now


def _accuracy(view: RunView) -> str:
    ranks = view.ranks
    if ranks.accuracy is None:
        return "–"
    return f"{percent(ranks.accuracy)} @{ranks.accuracy_shots}"


def _gain(view: RunView) -> str:
    gain = view.ranks.gain
    return "–" if gain is None else f"{100 * gain:+.1f}"


def _left(view: RunView) -> str:
    """Return how long it takes yet, or how it ended."""
    if view.status == "stopping":
        return "stopping …"
    if view.status == "running":
        return duration(view.ranks.seconds_left) if view.step else "loading …"
    if view.status == "died":
        return view.death.cause if view.death and view.death.cause else "died"
    if view.status == "failed":
        return view.death.cause if view.death and view.death.cause else "failed"
    took = figure(view.end, "seconds")
    return f"took {duration(took)}" if took is not None else view.status


def _left_style(view: RunView) -> str:
    is_told = view.status in TROUBLE or view.status == "stopping"
    return MARKS[view.status][1] if is_told else ""


def _memory(view: RunView) -> str:
    peak = view.ranks.peak_gb
    return "–" if peak is None else size(1e9 * peak)


def _steps(view: RunView) -> str:
    done = f"{view.steps_done}"
    if view.planned.isdecimal():
        return f"{done}/{view.planned}"
    share = view.share
    return done if share is None else f"{done} ({share * 100:.0f}%)"


def _model(view: RunView) -> str:
    return head(view.model.rstrip("/").rsplit("/", 1)[-1], MODEL)


STARTED: Final = Field(
    "started", lambda view: moment(view.started), lambda view: -view.started, False, 5
)
FIELDS: Final = (
    Field("model", _model, lambda view: _model(view) or None, False, 8, is_number=False),
    Field("step", _steps, lambda view: view.share, True, 1),
    Field("loss", _loss, lambda view: figure(view.step, "loss"), False, 3),
    Field("valid", lambda view: number(view.ranks.valid), lambda view: view.ranks.valid),
    Field("score", _accuracy, lambda view: view.ranks.accuracy, True),
    Field("vs base", _gain, lambda view: view.ranks.gain, True, 4),
    Field(
        "left",
        _left,
        lambda view: view.ranks.seconds_left,
        False,
        2,
        is_number=False,
        style=_left_style,
    ),
    Field(
        "tok/s",
        lambda view: number(figure(view.step, "tokens_per_s")),
        lambda view: figure(view.step, "tokens_per_s"),
        True,
        6,
    ),
    Field("memory", _memory, lambda view: view.ranks.peak_gb, True, 7),
    Field(
        "disk",
        lambda view: size(view.nbytes) if view.nbytes else "–",
        lambda view: view.nbytes,
        True,
        9,
    ),
    STARTED,
)
NAME: Final = Field("run", lambda view: view.name, lambda view: view.name, is_number=False)
ORDERS: Final = {  # by heading, in the turn of the key
    field.heading: field
    for field in (STARTED, *(f for f in FIELDS if f.heading in ("valid", "score", "vs base")))
} | {field.heading: field for field in (*FIELDS, NAME)}


@dataclass(frozen=True)
class Order:
    """A column that runs are ordered by, and whether against its own direction."""

    heading: str = STARTED.heading
    is_reversed: bool = False

    @property
    def mark(self) -> str:
        """Show by an arrow whether the column rises or falls from the top."""
        falls = ORDERS[self.heading].is_most_first != self.is_reversed
        return "▼" if falls != (self.heading == STARTED.heading) else "▲"

    def next(self) -> "Order":
        """Return the one after it."""
        names = list(ORDERS)
        return Order(names[(names.index(self.heading) + 1) % len(names)])

    def sorted(self, views: Sequence[RunView]) -> list[RunView]:
        """Return runs in this order; those that lack the figure come last, newest first."""
        field = ORDERS[self.heading]
        known = [view for view in views if field.key(view) is not None]
        rest = [view for view in views if field.key(view) is None]
        backwards = field.is_most_first != self.is_reversed
        found: list[RunView] = sorted(known, key=field.key, reverse=backwards)  # type: ignore[arg-type]
        return found + rest


class RunTable(ListTable):
    """Rows keyed by run id."""

    HELP = (
        "valid is the lowest validation loss, score that of the same validation with the most "
        "demonstrations (@ how many), vs base how many points the adapter is ahead of the base "
        "model in the last evaluation (e). A click on a heading orders by it, C chooses the "
        "columns. Space marks runs for = and D."
    )

    class Ordered(Message):
        """A heading was clicked."""

        def __init__(self, heading: str) -> None:
            super().__init__()
            self.heading = heading

    def __init__(self) -> None:
        super().__init__()
        self.order = Order()
        self.chosen: Collection[str] = frozenset(field.heading for field in FIELDS)
        self._headings: list[str] = []
        self._views: tuple[RunView, ...] = ()
        self._shown: tuple[object, ...] = ()
        self._known: dict[str, tuple[RunView | None, tuple[int, ...] | None, list[str]]] = {}

    @property
    def selected(self) -> str | None:
        """Return the id of the run under the cursor."""
        return self.selected_key

    def show(self, views: Sequence[RunView], width: int, marked: frozenset[str]) -> None:
        """Fill the table for a terminal this wide; nothing is done where all is as it was."""
        shown = (width, marked, self.order, tuple(self.chosen), time.localtime()[:3])
        is_same = len(views) == len(self._views) and all(map(operator.is_, views, self._views))
        if is_same and shown == self._shown and all(view.status in ENDED for view in views):
            return
        self._views, self._shown = tuple(views), shown
        ordered = self.order.sorted(views)
        status = [_status(view, width >= IN_WORDS, marked) for view in ordered]
        names = [head(view.name or view.run.run_id, MOST_RUN) for view in ordered]
        rows_of = [self._texts(view) for view in ordered]
        texts = {
            field: [row[place] for row in rows_of]
            for place, field in enumerate(FIELDS)
            if field.heading in self.chosen
        }
        taken = max((cell_len(cell.text) for cell in status), default=0) + 4
        longest = max(map(cell_len, [*names, "run"]), default=0)
        fields = self._fitting(texts, width - taken - 2 - min(longest, LEAST_RUN))
        taken += sum(self._width(field, texts[field]) for field in fields)
        room = max(LEAST_RUN, min(longest, width - taken - 2))
        rows = [
            [
                status[place],
                Cell(head(names[place], room)),
                *(Cell(texts[field][place], field.style(view)) for field in fields),
            ]
            for place, view in enumerate(ordered)
        ]
        self._headings = ["", NAME.heading, *(field.heading for field in fields)]
        columns = [Column(""), self._column(NAME), *map(self._column, fields)]
        self.fill(columns, [view.run.run_id for view in ordered], rows)

    def _texts(self, view: RunView) -> list[str]:
        """Return what is in each column; of a run that has ended, as it was written before."""
        today = time.localtime()[:3]  # days and hours are told in words that go by it
        known, day, texts = self._known.get(view.run.run_id, (None, None, []))
        if known is not view or day != today or view.status not in ENDED:
            texts = [field.text(view) for field in FIELDS]
            self._known[view.run.run_id] = (view, today, texts)
        return texts

    def _fitting(self, texts: dict[Field, list[str]], room: int) -> list[Field]:
        """Return the columns there is room for; the most telling ones stay longest."""
        fields = list(texts)
        widths = {field: self._width(field, texts[field]) for field in fields}
        while sum(widths[field] for field in fields) > room:
            spared = max(fields, key=lambda field: field.rank)
            if spared.rank == 0:
                break
            fields.remove(spared)
        return fields

    def _width(self, field: Field, texts: list[str]) -> int:
        return max(map(cell_len, [self._column(field).heading, *texts])) + 2

    def _column(self, field: Field) -> Column:
        mark = self.order.mark if field.heading == self.order.heading else ""
        return Column(f"{field.heading}{mark}", field.is_number)

    @on(DataTable.HeaderSelected)
    def _heading_clicked(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        if heading := self._headings[event.column_index : event.column_index + 1]:
            self.post_message(self.Ordered(heading[0] or STARTED.heading))


def _status(view: RunView, in_words: bool, marked: frozenset[str]) -> Cell:
    words, style = status_mark(view.status, view.is_diverged)
    shown = words if in_words else words[0]
    if marked:
        shown = f"{MARKED if view.run.run_id in marked else ' '} {shown}"
    return Cell(shown, style)
