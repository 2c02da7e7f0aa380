"""`yofo queue`: runs one after another; no model is loaded here."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from yofo_mlx.commands import background
from yofo_mlx.commands.long_run import tell_of_several
from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode, RecipeError, RunError
from yofo_mlx.queueing import book, changes, worker
from yofo_mlx.queueing.book import Book, Entry
from yofo_mlx.queueing.changes import as_dict, standing
from yofo_mlx.queueing.grid import Cell
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.folder import GOING_ON, TROUBLE, Run
from yofo_mlx.runs.names import ambiguous, matching
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system import paths
from yofo_mlx.system.quantities import duration, plural
from yofo_mlx.system.signals import answered
from yofo_mlx.system.talk import print_path, quoted, say, say_next
from yofo_mlx.system.text import json_line

if TYPE_CHECKING:
    from yofo_mlx.planning.planner import Planner

HEADS = ("run", "state", "done", "left", "values", "why")


def add(
    cells: Sequence[Cell],
    names: Sequence[str],
    *,
    studies: Sequence[RecipeRequest] = (),
    name: str | None,
    restarts: int,
    force: bool,
    as_json: bool,
) -> ExitCode:
    """Queue runs and studies; all are checked before the first folder is made."""
    queue = book.read()
    later = [_study(queue, request) for request in studies]
    ready = list(dict.fromkeys(map(listing.find, names)))
    for run in ready:
        _check_may_queue(queue, run)
    planners = [
        (cell, background.check(cell.request, cell.request.load(), force=force, whole=True))
        for cell in cells
    ]
    _tell_hours(planners)
    planned = [(cell, _needs(cell, planner)) for cell, planner in planners]
    options: dict[str, Any] = {"force": force, "restarts": restarts}
    added: list[Entry] = [Entry(**_known(run), **options) for run in ready]
    with answered(background.born):
        for cell, needs in planned:
            run = launch.create_run(cell.request.load(), _name(cell, name))
            entry = Entry(**_known(run), **needs, **options, values=cell.values)
            added.append(entry)
        added += later
        with book.changing() as queue:
            again = {entry.origin for entry in added}
            queue.entries = [
                one for one in queue.entries if one.origin not in again and not _is_of(one, later)
            ]
            queue.entries += added
            paused = queue.paused
            placed = [(one, job) for one, job in queue.placed() if one in added]
        worker.ensure()
    if as_json:
        print(json_line([as_dict(standing(entry, job)) for entry, job in placed]))
    else:
        for job in (job for _, job in placed if job):
            print_path(job.path)
        runs = len(added) - len(later)
        words = [plural(runs, "run")] if runs else []
        words += [f"the study of {one.study.name}" for one in later if one.study]
        say(f"{', '.join(words)} queued" + (", which is paused" if paused else ""))
        say_next("queue start" if paused else "queue list")
    return ExitCode.OK


def _study(queue: Book, request: RecipeRequest) -> Entry:
    """Return the entry of a study; refuse one that could not be made, or is queued already."""
    from yofo_mlx.commands.study_plan import to_be_queued  # late: it loads much

    study = to_be_queued(request)
    for one in queue.entries:
        if one.study and one.study.folder == study.folder and one.outcome is None:
            raise RecipeError(f"a study in {study.folder} is queued already", "`yofo queue list`")
    return Entry(number=0, created=time.time(), name=f"study-{study.name}", study=study)


def _is_of(entry: Entry, studies: Sequence[Entry]) -> bool:
    """Tell whether an entry is an earlier time of one of these studies."""
    folders = [one.study.folder for one in studies if one.study]
    return entry.study is not None and entry.study.folder in folders


def _known(run: Run) -> dict[str, Any]:
    number, created = listing.origin(run)
    return {"number": number, "created": created, "name": run.run_id}


def _name(cell: Cell, name: str | None) -> str:
    return cell.name if name is None else " ".join([name, *cell.name.split()[1:]])


def _tell_hours(planners: "Sequence[tuple[Cell, Planner | None]]") -> None:
    """Say which of the runs that are to be queued take longer than a day."""
    if planners:
        from yofo_mlx.planning.hours import long_hours  # MLX

        tell_of_several([long_hours(cell.request.load(), planner) for cell, planner in planners])


def _needs(cell: Cell, planner: "Planner | None") -> dict[str, Any]:
    """Return what a run needs by its forecast."""
    if planner is None:
        return {}
    needed = planner.needed(planner.longest_step(cell.request.load()))
    return {"needed_gb": round(needed / 1e9, 4), "limit_gb": round(planner.limit / 1e9, 4)}


def _check_may_queue(queue: Book, run: Run) -> None:
    if run.path.parent != paths.runs():
        raise RunError(f"{run.path} is not in the folder of runs", "`yofo resume` takes it")
    status, entry = run.status(), queue.entry_of(run)
    if status == "finished":
        raise RunError(
            f"{run.run_id} has finished",
            f"to go on: yofo resume {listing.word(run)} --set train.steps=N",
        )
    if status in GOING_ON:
        raise RunError(f"{run.run_id} is being trained", "queue it when it has stopped")
    if entry and entry.outcome is None:
        raise RecipeError(f"{run.run_id} is queued already", "`yofo queue list`")


def show(*, as_json: bool = False) -> ExitCode:
    """List the queue."""
    queue = book.read()
    pid = book.worker()
    rows = [as_dict(standing(entry, run)) for entry, run in queue.placed()]
    if as_json:
        state = {"paused": queue.paused, "at_once": queue.at_once, "process": pid}
        print(json_line(state | {"entries": rows}))
        return ExitCode.OK
    if not rows:
        say("nothing is queued")
        say_next("queue add tiny")
        return ExitCode.OK
    show_table(HEADS, [_cells(row) for row in rows], numbers=("done", "left"), spared=("why",))
    waits = any(row["state"] in ("waiting", *GOING_ON) for row in rows)
    if queue.paused:
        say("paused")
    if waits and (queue.paused or pid is None):
        say_next("queue start")
    elif failed := [row["run_id"] for row in rows if row["state"] in TROUBLE]:
        say_next(f"queue retry {failed[0]}")
    return ExitCode.OK


def _cells(row: dict[str, Any]) -> list[str]:
    share, left = row["share"], row["seconds_left"]
    return [
        row["run_id"],
        row["state"],
        "-" if share is None else f"{100 * share:.0f}%",
        "-" if left is None else duration(left),
        ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in row["values"].items())
        or "-",
        row["message"] or "-",
    ]


def drop(names: Sequence[str], *, ended: bool) -> ExitCode:
    """Take runs off the queue, and what was never begun to the trash."""
    if bool(names) == ended:
        raise RecipeError("name runs, or --ended for all that have", "`yofo queue list`")
    queue = book.read()
    over = [entry for entry, run in queue.placed() if entry.outcome or run is None]
    dropped = changes.drop(_origins(over if ended else _entries(queue, names)))
    fresh = [removed.run_id for removed in dropped.removed]
    trashed = f", {len(fresh)} of them never begun and now in the trash" if fresh else ""
    say(f"{plural(len(dropped.entries), 'run')} off the queue{trashed}")
    if fresh:
        say_next("restore " + quoted(*fresh))
    return ExitCode.OK


def _origins(entries: Sequence[Entry]) -> set[tuple[int, float]]:
    return {one.origin for one in entries}


def _entries(queue: Book, names: Sequence[str]) -> list[Entry]:
    """Return the entries of named runs, each once."""
    by_name = {run.run_id if run else one.name: one for one, run in queue.placed()}
    found = []
    for name in names:
        matches = matching(name, list(by_name))
        if not matches:
            raise RecipeError(f"there is no run '{name}' in the queue", "`yofo queue list`")
        if len(matches) > 1:
            raise ambiguous(name, matches)
        found.append(by_name[matches[0]])
    return [one for one in queue.entries if one in found]


def retry(names: Sequence[str]) -> ExitCode:
    """Let runs wait again."""
    changes.retry(_origins(_entries(book.read(), names)))
    return _queued()


def first(names: Sequence[str]) -> ExitCode:
    """Put runs before the others."""
    changes.put_first(_origins(_entries(book.read(), names)))
    return show()


def pause(*, now: bool) -> ExitCode:
    """Begin no further run."""
    going = changes.pause(now=now)
    for run in going if now else []:
        say(f"{run.run_id} finishes its step, saves and waits")
    if going and not now:
        say(f"paused; {going[0].run_id} is trained to its end, or: yofo queue pause --now")
    say_next("queue start")
    return ExitCode.OK


def start(at_once: int | None) -> ExitCode:
    """Go on with the queue."""
    changes.start(at_once)
    return _queued()


def _queued() -> ExitCode:
    waiting = len(book.read().waiting())
    say(f"{plural(waiting, 'run')} in the queue" if waiting else "nothing waits in the queue")
    say_next("queue list" if waiting else "queue add tiny")
    return ExitCode.OK
