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
from yofo_mlx.runs.folder import TROUBLE
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
    if view.step is None and not view.planned:
        return "–"  # not read yet, or it never got so far
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
        self._known: dict[str, RunLine] = {}
        self._widest: tuple[object, list[int]] = (None, [])  # columns come and go with none's news

    @property
    def selected(self) -> str | None:
        """Return the id of the run under the cursor."""
        return self.selected_key

    def show(self, views: Sequence[RunView], width: int, marked: frozenset[str]) -> None:
        """Fill the table for a terminal this wide; only runs with news are written anew."""
        today = time.localtime()[:3]  # days and hours are told in words that go by it
        shown = (width, marked, self.order, tuple(self.chosen), today)
        is_same = len(views) == len(self._views) and all(map(operator.is_, views, self._views))
        if is_same and shown == self._shown:
            return
        if self._shown[-1:] != (today,):
            self._known.clear()
        self._views, self._shown = tuple(views), shown
        lines = [self._line(view) for view in self.order.sorted(views)]
        self._known = {line.view.run.run_id: line for line in lines}
        in_words = width >= IN_WORDS
        status = [line.status(in_words, marked) for line in lines]
        longest = max([cell_len("run"), *(line.name_width for line in lines)])
        taken = max([0, *(cell_len(cell.text) for cell in status)]) + 4
        every = [
            max(column) + 2
            for column in zip(
                (cell_len(self._column(field).heading) for field in FIELDS),
                *(line.widths for line in lines),
                strict=True,
            )
        ]
        of = (width, tuple(self.chosen), self._known.keys())
        if of == self._widest[0]:
            every = list(map(max, every, self._widest[1]))
        self._widest = of, every
        chosen = [at for at, field in enumerate(FIELDS) if field.heading in self.chosen]
        places = _fitting(chosen, every, width - taken - 2 - min(longest, LEAST_RUN))
        taken += sum(every[place] for place in places)
        room = max(LEAST_RUN, min(longest, width - taken - 2))
        fields = [FIELDS[place] for place in places]
        rows = [line.cells(mark, room, places) for line, mark in zip(lines, status, strict=True)]
        self._headings = ["", NAME.heading, *(field.heading for field in fields)]
        columns = [Column(""), self._column(NAME), *map(self._column, fields)]
        self.fill(columns, [line.view.run.run_id for line in lines], rows)

    def _line(self, view: RunView) -> "RunLine":
        """Return a run in words, as they were written before if it is as it was."""
        known = self._known.get(view.run.run_id)
        return known if known is not None and known.view is view else RunLine(view)

    def _column(self, field: Field) -> Column:
        mark = self.order.mark if field.heading == self.order.heading else ""
        return Column(f"{field.heading}{mark}", field.is_number)

    @on(DataTable.HeaderSelected)
    def _heading_clicked(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        if heading := self._headings[event.column_index : event.column_index + 1]:
            self.post_message(self.Ordered(heading[0] or STARTED.heading))


def _fitting(chosen: list[int], widths: list[int], room: int) -> list[int]:
    """Return the chosen fields there is room for; the most telling ones stay longest."""
    places = list(chosen)
    while places and sum(widths[place] for place in places) > room:
        spared = max(places, key=lambda place: FIELDS[place].rank)
        if FIELDS[spared].rank == 0:
            break
        places.remove(spared)
    return places


class RunLine:
    """A run in words, written once and drawn as often as the table changes."""

    def __init__(self, view: RunView) -> None:
        self.view = view
        self.texts = [field.text(view) for field in FIELDS]
        self.widths = list(map(cell_len, self.texts))
        self._name = head(view.name or view.run.run_id, MOST_RUN)
        self.name_width = cell_len(self._name)
        self._status: tuple[object, Cell] = (None, Cell(""))
        self._cells: tuple[object, list[Cell]] = (None, [])

    def status(self, in_words: bool, marked: frozenset[str]) -> Cell:
        """Return its mark, and whether the user marked it, where any run is marked."""
        is_marked = self.view.run.run_id in marked if marked else None
        if self._status[0] != (in_words, is_marked):
            words, style = status_mark(self.view.status, self.view.is_diverged)
            shown = words if in_words else words[0]
            if is_marked is not None:
                shown = f"{MARKED if is_marked else ' '} {shown}"
            self._status = (in_words, is_marked), Cell(shown, style)
        return self._status[1]

    def cells(self, status: Cell, room: int, places: list[int]) -> list[Cell]:
        """Return its row: the status, the name on so many cells, the fields at these places."""
        if self._cells[0] != (status, room, places):
            told = [Cell(self.texts[place], FIELDS[place].style(self.view)) for place in places]
            self._cells = (status, room, places), [status, Cell(head(self._name, room)), *told]
        return self._cells[1]
