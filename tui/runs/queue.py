"""Queue: runs and studies that wait, and what is to be done with them by a process of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import DataTable

from yofo_mlx.queueing import book, changes
from yofo_mlx.queueing.changes import Dropped, Standing
from yofo_mlx.runs.folder import GOING_ON
from yofo_mlx.runs.names import undated
from yofo_mlx.system.quantities import duration, plural
from yofo_mlx.system.text import shorten

from ..shared.copying import copy
from ..shared.table import Cell, Column, tail
from ..shared.verb import call
from ..shared.words import MARKS, MUTED, lines, muted, percent, safe
from .list_page import ListPage, PageRow, told

WIDE = 100
NAME = 44  # cells of a run's name
WAITING = ("… waiting", "")
REMOVED = ("○ removed", MUTED)


@dataclass(frozen=True)
class Queue:
    """The queue as it stands."""

    paused: bool
    at_once: int
    process: int | None
    standings: tuple[Standing, ...]

    def named(self, keys: list[str]) -> list[Standing]:
        """Return the entries of rows."""
        return [one for one in self.standings if key_of(one) in keys]


def key_of(one: Standing) -> str:
    """Return what a row is known by, whatever its run is called."""
    number, created = one.entry.origin
    return f"{number}/{created}"


class QueueScreen(ListPage):
    """Runs one after another, each a folder already; studies between them."""

    TITLE = "Queue"
    HELP = (
        "What is queued is trained one after another by a process of its own, which goes on when "
        "this app is closed. A study compares ways to train on one recipe: it has the machine for "
        "itself, and its report lies in its folder. Nothing here is deleted: what is dropped comes "
        "back with u."
    )
    POLL_SECONDS = 1.0
    EMPTY = Content.assemble(
        ("Nothing is queued.\n\n", "bold"),
        "Press ", ("a", "bold $text-accent"), " to queue recipes, values of a key, or studies.\n",
        ("They are trained one after another, when this app is closed, too.", MUTED),
    )  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add", id="queue.add", tooltip="Recipes, values, or both"),
        Binding("p", "pause", "Pause", id="queue.pause", tooltip="Begin no further run"),
        Binding("P", "pause_now", "Pause now", id="queue.pause_now", show=False),
        Binding("p", "start", "Start", id="queue.start", tooltip="Go on with the queue"),
        Binding("f", "first", "First", id="queue.first", tooltip="Before the others"),
        Binding("r", "retry", "Retry", id="queue.retry", tooltip="From its last checkpoint"),
        Binding("D", "drop", "Drop", id="queue.drop", tooltip="Take it off the queue"),
        Binding("E", "drop_ended", "Drop ended", id="queue.drop_ended", show=False),
        Binding("u", "undo", "Undo", id="queue.undo", tooltip="Bring back what was dropped"),
        Binding("plus", "at_once(1)", "More at once", id="queue.more", key_display="+", show=False),
        Binding("minus", "at_once(-1)", "Fewer", id="queue.fewer", key_display="-", show=False),
        Binding("enter", "open", "Show run", id="queue.open"),
        Binding("y", "copy", "Copy the path", id="queue.copy", show=False),
    ]

    found: Queue | None

    def __init__(self) -> None:
        super().__init__()
        self._dropped: list[Dropped] = []

    def gather(self) -> Queue:
        """Read the queue, and how its runs stand."""
        queue = book.read()
        standings = tuple(changes.standing(entry, run) for entry, run in queue.placed())
        return Queue(queue.paused, queue.at_once, book.worker(), standings)

    def heading(self, found: Queue) -> Content:
        """Say how the queue is worked off."""
        waiting = sum(one.state == "waiting" for one in found.standings)
        going = sum(one.state in GOING_ON for one in found.standings)
        if found.paused:
            state = Content.styled("■ paused", "$text-warning")
        elif found.process is not None:
            state = Content.styled("● at work", "$text-success")
        else:
            state = Content.styled("○ at rest", MUTED)
        facts = [f"{waiting} waiting", f"{going} trained now", f"{found.at_once} at a time"]
        more = "p goes on" if found.paused else ""
        parts = [state, *map(muted, facts), *([muted(more)] if more else [])]
        return Content.assemble(("Queue  ", "bold"), muted(" · ").join(parts))

    def columns(self) -> list[Column]:
        """Return the columns that there is room for."""
        wide = [Column("needs", True), Column("restarts", True)] if self._is_wide else []
        return [
            Column("run"),
            Column("state"),
            Column("done", True),
            Column("left", True),
            *wide,
            Column("values"),
        ]

    @property
    def _is_wide(self) -> bool:
        return self.size.width >= WIDE

    def rows(self, found: Queue) -> list[PageRow]:
        """Return an entry each, in the order in which they are trained."""
        return [self._row(one) for one in found.standings]

    def _row(self, one: Standing) -> PageRow:
        entry = one.entry
        needs = "–" if entry.needed_gb is None else f"{entry.needed_gb:.1f} GB"
        wide = [Cell(needs), Cell(f"{entry.restarts or '–'}")] if self._is_wide else []
        mark, style = _mark(one.state)
        cells = [
            Cell(tail(undated(one.name), NAME if self._is_wide else 24)),
            Cell(mark, style),
            Cell(percent(one.share)),
            Cell(duration(one.seconds_left)),
            *wide,
            Cell(_values(one) or "–"),
        ]
        return PageRow(key_of(one), tuple(cells), _about(one))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what the queue and the row allow."""
        queue = self.found
        chosen = queue.named(self.chosen) if queue else []
        return {
            "start": queue is not None and queue.paused,
            "pause": queue is not None and not queue.paused,
            "pause_now": queue is not None
            and any(one.state in GOING_ON for one in queue.standings),
            "first": any(one.entry.outcome is None for one in chosen),
            "retry": any(one.entry.outcome not in (None, "finished") for one in chosen),
            "drop": bool(chosen),
            "open": bool(chosen),
            "copy": bool(chosen),
            "drop_ended": queue is not None and any(map(_is_over, queue.standings)),
            "undo": bool(self._dropped),
        }.get(action, True)

    def action_add(self) -> None:
        """Ask what is to be queued."""
        from .queue_add import QueueAddScreen  # late: recipes' model is slow to import

        def asked(words: list[str] | None) -> None:
            if words is not None:
                self.notify("checking the recipes and their data …", markup=False)
                self.act(partial(_add, words))

        self.app.push_screen(QueueAddScreen(), asked)

    def action_pause(self) -> None:
        """Begin no further run."""
        self.act(_pause)

    def action_pause_now(self) -> None:
        """Ask, then stop what is being trained, too."""
        after = "What is being trained finishes its step, saves, and goes on with the queue."
        question = Content.assemble("Pause the queue now?\n\n", (after, MUTED))
        self.ask(question, "Pause now", _pause_now)

    def action_start(self) -> None:
        """Go on with the queue."""
        self.act(_start)

    def action_at_once(self, by: int) -> None:
        """Train more runs at a time, or fewer."""
        if self.found is not None:
            count = max(1, self.found.at_once + by)
            self.act(partial(_allow, count))

    def action_first(self) -> None:
        """Put runs before the others."""
        self._change(changes.put_first, "is next")

    def action_retry(self) -> None:
        """Let runs that failed or were stopped be trained again."""
        self._change(changes.retry, "waits again")

    def _change(self, change: Callable[[set[tuple[int, float]]], object], done: str) -> None:
        chosen = self.found.named(self.chosen) if self.found else []

        def act() -> str:
            change({one.entry.origin for one in chosen})
            return f"{told([undated(one.name) for one in chosen], 'runs')}: {done}"

        if chosen:
            self.act(act)

    def action_drop(self) -> None:
        """Take runs off the queue, and what was never begun to the trash."""
        if self.found is not None:
            self._drop(self.found.named(self.chosen))

    def action_drop_ended(self) -> None:
        """Take off what has ended."""
        if self.found is not None:
            self._drop([one for one in self.found.standings if _is_over(one)])

    def _drop(self, chosen: list[Standing]) -> None:
        def act() -> str:
            dropped = changes.drop({one.entry.origin for one in chosen})
            self._dropped.append(dropped)
            trash = f", {len(dropped.removed)} never begun and now in the trash"
            going = any(one.state in GOING_ON for one in chosen)
            return (
                f"{plural(len(dropped.entries), 'run')} off the queue"
                + (trash if dropped.removed else "")
                + ("; what is being trained goes on" if going else "")
                + ". u brings it back."
            )

        if chosen:
            self.act(act)

    def action_undo(self) -> None:
        """Bring back what was dropped last."""
        if self._dropped:
            dropped = self._dropped.pop()

            def act() -> str:
                changes.bring_back(dropped)
                return f"{plural(len(dropped.entries), 'run')} in the queue again"

            self.act(act)

    @on(DataTable.RowSelected)
    def action_open(self) -> None:
        """Go back to Runs, to this run."""
        chosen = self.found.named([self.key or ""]) if self.found else []
        if chosen and chosen[0].run is not None:
            self.dismiss(chosen[0].run)
        elif chosen and chosen[0].job is not None:
            words = f"Its report, as far as it is made: {chosen[0].job.path / 'report.md'}"
            self.notify(words, title="A study", markup=False)

    def action_copy(self) -> None:
        """Copy the paths."""
        chosen = self.found.named(self.chosen) if self.found else []
        copy(self, "\n".join(str(one.job.path) for one in chosen if one.job), "path")


def _is_over(one: Standing) -> bool:
    return one.entry.outcome is not None or one.job is None


def _mark(state: str) -> tuple[str, str]:
    known = {str(name): (f"{mark} {name}", style) for name, (mark, style) in MARKS.items()}
    known |= {"waiting": WAITING, "removed": REMOVED}
    return known.get(state, (state, ""))


def _values(one: Standing) -> str:
    if one.entry.study is not None:
        return "a study: ways to train compared"
    return ", ".join(f"{key.rpartition('.')[2]} {v}" for key, v in one.entry.values.items())


def _about(one: Standing) -> Content:
    entry = one.entry
    said = [safe(one.name, 200).stylize("bold")]
    if entry.message:
        said.append(safe(entry.message).stylize("$text-error"))
    if entry.hint:
        said.append(safe(entry.hint))
    said += [muted(f"{shorten(key)} = {shorten(value)}") for key, value in entry.values.items()]
    if entry.needed_gb is not None and entry.limit_gb is not None:
        said.append(muted(f"needs {entry.needed_gb:.1f} of {entry.limit_gb:.0f} GB"))
    if one.job is None and entry.outcome is None:
        said.append(muted("its run is in the trash or gone: the queue passes it over"))
    elif one.job is not None:
        said.append(safe(one.job.path).stylize(MUTED))
    return lines(said)


def _add(words: list[str]) -> str:
    printed = call("queue", "add", *words)
    is_of_studies = any(word.startswith("--study=") for word in words)
    count = len(printed.splitlines())
    return f"{plural(count, 'run')} queued" if not is_of_studies else f"queued, studies: {count}"


def _pause() -> str:
    going = changes.pause(now=False)
    return f"paused; {going[0].run_id} is trained to its end" if going else "paused"


def _pause_now() -> str:
    going = changes.pause(now=True)
    return f"{told([run.run_id for run in going], 'runs')}: finishes its step, saves and waits"


def _start() -> str:
    changes.start()
    return ""


def _allow(count: int) -> str:
    changes.allow(count)
    return ""
