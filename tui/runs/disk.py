"""Disk: what takes room, and what of it can go; runs and caches come back with undo."""

import time
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from yofo_mlx.errors import YofoError
from yofo_mlx.runs.names import undated
from yofo_mlx.storage import disk
from yofo_mlx.storage.disk import Item
from yofo_mlx.storage.undo import all_thrown, newest_thrown, put_back
from yofo_mlx.system.quantities import age, size

from ..shared.blocks import bar, gauge
from ..shared.copying import copy
from ..shared.table import Cell, Column, tail
from ..shared.words import MUTED, lines, muted, safe
from .list_page import ListPage, PageRow, told

ORDERS = ("size", "used", "name")
SMALL = 10**6  # bytes; what is smaller is shown by a key
WIDE = 100
BAR = 12  # cells


@dataclass(frozen=True)
class Room:
    """What takes room, and what is left."""

    items: tuple[Item, ...]
    free: int
    thrown: int  # things that undo brings back

    def named(self, keys: list[str]) -> list[Item]:
        """Return the things of rows."""
        return [one for one in self.items if one.name in keys]


class DiskScreen(ListPage):
    """What yofo and the hub keep on the disk, the largest first."""

    TITLE = "Disk"
    HELP = (
        "What yofo and the hub's client keep. D moves the marked rows, or the row, to the trash, "
        "and u brings them back; only the trash itself and models of the hub go for good, and are "
        "asked for. s marks what can go without a loss, a shows what is small, too."
    )
    EMPTY = muted("Nothing takes room yet.")
    READING = "adding up …"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("D", "free", "Free", id="disk.free", tooltip="To the trash where that can be"),
        Binding("u", "undo", "Undo", id="disk.undo", tooltip="Bring back what went last"),
        Binding("s", "spare", "Mark what can go", id="disk.spare"),
        Binding("o", "order", "Order", id="disk.order", tooltip="Size, age, name"),
        Binding("a", "small", "All", id="disk.all", tooltip="Also what takes less than 1 MB"),
        Binding("e", "empty", "Empty the trash", id="disk.empty"),
        Binding("f5", "look", "Read anew", id="disk.look", show=False),
        Binding("y", "copy", "Copy the path", id="disk.copy", show=False),
    ]

    found: Room | None

    def __init__(self) -> None:
        super().__init__()
        self._order = ORDERS[0]
        self._every = False

    def gather(self) -> Room:
        """Add up what takes room."""
        return Room(tuple(disk.items()), disk.free_room(), len(all_thrown()))

    def heading(self, found: Room) -> Content:
        """Say how much it is, and how much is left."""
        whole = sum(one.nbytes for one in found.items)
        spare = sum(one.nbytes for one in found.items if one.spare)
        share = whole / (whole + found.free) if whole + found.free else 0.0
        facts = [f"{size(whole)} in all", f"{size(spare)} of it can go", f"{size(found.free)} free"]
        part = Content.styled(gauge(share, 16), "$text-primary")
        small = sum(one.nbytes < SMALL for one in found.items)
        more = f" · a shows {small} small ones" if small and not self._every else ""
        return Content.assemble(("Disk  ", "bold"), part, "  ", " · ".join(facts), muted(more))

    def columns(self) -> list[Column]:
        """Return the columns that there is room for."""
        more = [Column("")] if self._is_wide else []
        return [
            Column("what"),
            Column("name"),
            Column("size", True),
            *more,
            Column("used", True),
            Column("if it goes"),
        ]

    @property
    def _is_wide(self) -> bool:
        return self.size.width >= WIDE

    def rows(self, found: Room) -> list[PageRow]:
        """Return a thing each, in the order that was chosen."""
        keys = {
            "size": lambda one: -one.nbytes,
            "used": lambda one: one.used,
            "name": lambda one: one.name,
        }
        shown = [one for one in found.items if self._every or one.nbytes >= SMALL]
        most = max((one.nbytes for one in shown), default=1)
        return [self._row(one, most) for one in sorted(shown, key=keys[self._order])]

    def _row(self, one: Item, most: int) -> PageRow:
        style = MUTED if one.why_not else "$text-success" if one.spare else ""
        more = [Cell(bar(one.nbytes / most, BAR), "$text-primary")] if self._is_wide else []
        cells = [
            Cell(one.kind),
            Cell(tail(_brief(one), 48 if self._is_wide else 24)),
            Cell(size(one.nbytes)),
            *more,
            Cell(age(time.time() - one.used)),
            Cell(one.why_not or one.cost, style),
        ]
        return PageRow(one.name, tuple(cells), _about(one))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what there is."""
        room = self.found
        return {
            "free": room is not None and bool(room.named(self.chosen)),
            "undo": room is not None and room.thrown > 0,
            "empty": room is not None and any(one.kind == "trash" for one in room.items),
        }.get(action, True)

    def action_look(self) -> None:
        """Add up again."""
        self.look()

    def action_order(self) -> None:
        """Order by size, by age, by name."""
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self.notify(f"by {self._order}", timeout=2, markup=False)
        self.draw()

    def action_small(self) -> None:
        """Show also what takes little room, or leave it out again."""
        self._every = not self._every
        self.draw()

    def action_spare(self) -> None:
        """Mark what can go with hardly a loss."""
        if self.found is not None:
            spare = (one for one in self.found.items if one.spare and one.kind != "trash")
            self.mark([one.name for one in spare if self._every or one.nbytes >= SMALL])

    def action_free(self) -> None:
        """Let things go; ask first, with what it means."""
        chosen = self.found.named(self.chosen) if self.found else []
        busy = [one for one in chosen if one.why_not]
        if busy:
            self.notify(f"{busy[0].name}: {busy[0].why_not}", severity="warning", markup=False)
        elif chosen:
            self.ask(_question(chosen), "Let it go", partial(_free, chosen))

    def action_empty(self) -> None:
        """Delete what is in the trash for good."""
        found = self.found.items if self.found else ()
        trash = [one for one in found if one.kind == "trash"]
        if trash:
            self.ask(_question(trash), "Delete for good", partial(_free, trash))

    def action_undo(self) -> None:
        """Bring back what was let go last."""
        self.act(_undo)

    def action_copy(self) -> None:
        """Copy the paths."""
        chosen = self.found.named(self.chosen) if self.found else []
        copy(self, "\n".join(str(one.path) for one in chosen), "path")


def _brief(one: Item) -> str:
    """Return its name without its kind, of a run's also without the date."""
    name = one.name.removeprefix(f"{one.kind}:")
    return undated(name) if one.kind in ("run", "checkpoints") else name


def _about(one: Item) -> Content:
    way = "u brings it back from the trash" if one.undo else "it cannot be brought back"
    said = Content.styled(one.why_not, "$text-warning") if one.why_not else safe(one.cost)
    return lines(
        [
            safe(one.name, 300).stylize("bold"),
            said if one.why_not else Content.assemble("if it goes: ", said, muted(f"; {way}")),
            safe(one.path, 300).stylize(MUTED),
        ]
    )


def _question(chosen: list[Item]) -> Content:
    nbytes = size(sum(one.nbytes for one in chosen))
    lasting = [one for one in chosen if not one.undo]
    way = "The key u brings it back."
    if lasting:
        which = (
            "" if len(lasting) == len(chosen) else f"{told([x.name for x in lasting], 'things')}: "
        )
        way = f"{which}that cannot be brought back."
    costs = dict.fromkeys(one.cost for one in chosen)
    name = safe(told([one.name for one in chosen], "things"), 200).stylize("bold")
    return Content.assemble(
        "Let ", name, f" go, {nbytes}?\n\n",
        *(Content.assemble("if it goes: ", cost, "\n") for cost in list(costs)[:6]),
        (way, "$text-warning" if lasting else MUTED),
    )  # fmt: skip


def _free(chosen: list[Item]) -> str:
    """Let things go one by one; tell of the first that cannot, and what went before it."""
    gone: list[Item] = []
    for one in chosen:
        try:
            disk.free_item(one)
        except (OSError, YofoError) as error:
            if not gone:
                raise
            return f"{_said(gone)}; then: {error}"
        gone.append(one)
    return _said(gone)


def _said(gone: list[Item]) -> str:
    held = sum(one.nbytes for one in gone if one.undo)
    freed = sum(one.nbytes for one in gone if not one.undo)
    words = [f"{size(freed)} freed"] if freed else []
    words += [f"{size(held)} in the trash: u brings it back, e empties it"] if held else []
    return "; ".join(words)


def _undo() -> str:
    last = newest_thrown()
    return "the trash is empty" if last is None else f"{put_back(last).name} is back"
