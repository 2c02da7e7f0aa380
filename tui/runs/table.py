"""The table of runs: newest first, or the best ones."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from yofo_mlx.runs.events import figure
from yofo_mlx.system.quantities import age

from ..shared.table import Cell, Column, ListTable, head, tail
from ..shared.words import number, percent, status_mark
from .follow import RunView

WIDE: Final = 96  # width from which there are columns for everything
MODEL: Final = 16  # characters of a model's name
LEAST_RUN: Final = 12


@dataclass(frozen=True)
class Field:
    """A column of the table, and what is in it."""

    heading: str
    text: Callable[[RunView], str]
    is_number: bool = True
    is_wide: bool = False  # shown where there is room only


@dataclass(frozen=True)
class Order:
    """A way to order runs: by a column, and what comes first."""

    heading: str
    mark: str
    key: Callable[[RunView], float | None]  # the least first, None last


FIELDS: tuple[Field, ...] = (
    Field("model", lambda view: _model(view.model), is_number=False),
    Field("step", lambda view: _steps(view)),
    Field("loss", lambda view: number(figure(view.step, "loss")), is_wide=True),
    Field("valid", lambda view: number(view.valid_loss)),
    Field("score", lambda view: _score(view)),
    Field("tokens/s", lambda view: number(figure(view.step, "tokens_per_s")), is_wide=True),
    Field("age", lambda view: age(time.time() - view.started)),
)
ORDERS: Final = (
    Order("age", "▲", lambda view: 0.0),
    Order("valid", "▲", lambda view: view.valid_loss),
    Order("score", "▼", lambda view: -view.score[1] if view.score else None),
)


class RunTable(ListTable):
    """Rows keyed by run id."""

    def __init__(self) -> None:
        super().__init__()
        self.order = ORDERS[0]

    @property
    def selected(self) -> str | None:
        """Return the id of the run under the cursor."""
        return self.selected_key

    def show(self, views: list[RunView], width: int) -> None:
        """Fill the table for a terminal this wide."""
        fields = [field for field in FIELDS if width >= WIDE or not field.is_wide]
        ordered = sorted(views, key=self._place)
        cells = [[field.text(view) for field in fields] for view in ordered]
        status = [Cell(*status_mark(view.status, view.is_diverged)) for view in ordered]
        names = [view.run.run_id for view in ordered]
        taken = sum(
            max(map(len, [field.heading, *below])) + 2 for field, below in _columns(fields, cells)
        )
        taken += max((len(cell.text) for cell in status), default=0) + 4
        room = max(LEAST_RUN, width - taken - 2)
        rows = [
            [mark, Cell(tail(name, room)), *map(Cell, row)]
            for mark, name, row in zip(status, names, cells, strict=True)
        ]
        self.fill(
            [Column("status"), Column("run"), *map(self._column, fields)],
            names,
            rows,
        )

    def _column(self, field: Field) -> Column:
        mark = self.order.mark if field.heading == self.order.heading else ""
        return Column(f"{field.heading}{mark}", field.is_number)

    def _place(self, view: RunView) -> tuple[bool, float]:
        key = self.order.key(view)
        return key is None, 0.0 if key is None else key


def _columns(fields: list[Field], cells: list[list[str]]) -> list[tuple[Field, list[str]]]:
    return [(field, [row[place] for row in cells]) for place, field in enumerate(fields)]


def _model(name: str) -> str:
    return head(name.rstrip("/").rsplit("/", 1)[-1], MODEL)


def _score(view: RunView) -> str:
    score = view.score
    return "–" if score is None else f"{percent(score[1])} @{score[0]}"


def _steps(view: RunView) -> str:
    done = f"{view.steps_done}"
    if view.planned.isdecimal():
        return f"{done}/{view.planned}"
    share = view.share
    return done if share is None else f"{done} ({share * 100:.0f}%)"
