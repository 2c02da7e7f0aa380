"""How the list of runs is laid out: its order, its columns; both are remembered."""

from typing import Any

from textual import on

from .actions import RunActions
from .table import FIELDS, Order, RunTable

PART = "runs"  # of the app's choices


class Arranging(RunActions):
    """The keys for order and columns."""

    def draw(self) -> None:
        """Show the list as it is laid out now."""
        raise NotImplementedError

    def action_order(self) -> None:
        """Order the runs by the next column; a mark in its heading says so."""
        self._order_by(self.query_one(RunTable).order.next())

    def action_turn_order(self) -> None:
        """Turn the order round."""
        order = self.query_one(RunTable).order
        self._order_by(Order(order.heading, not order.is_reversed))

    @on(RunTable.Ordered)
    def _heading_clicked(self, message: RunTable.Ordered) -> None:
        order = self.query_one(RunTable).order
        is_same = order.heading == message.heading
        self._order_by(Order(message.heading, is_same and not order.is_reversed))

    def _order_by(self, order: Order) -> None:
        self.query_one(RunTable).order = order
        self.draw()
        self._keep("order", order.heading)
        self._keep("reversed", order.is_reversed)

    def action_columns(self) -> None:
        """Choose the columns."""
        from ..shared.picking import PickingScreen

        table = self.query_one(RunTable)

        def chosen(headings: list[str] | None) -> None:
            if headings is not None:
                table.chosen = headings
                self.draw()
                self._keep("columns", headings)

        names = [one.heading for one in FIELDS]
        words = "Where there is no room for all, those that rank runs stay."
        screen = PickingScreen("Columns of the list", names, table.chosen, words)
        self.app.push_screen(screen, chosen)

    def _keep(self, key: str, value: Any) -> None:
        self.app.choices.keep(PART, key, value)  # type: ignore[attr-defined]
