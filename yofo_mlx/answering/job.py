"""A file of queries from its first row to the finished output, however often that is cut off."""

import glob
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from yofo_mlx.answering import output
from yofo_mlx.answering.asking import ROWS_AHEAD, Asker, Entry, ask
from yofo_mlx.answering.journal import AGAIN, Journal, journal_of
from yofo_mlx.answering.queries import Query, QueryFile
from yofo_mlx.answering.summary import Summary
from yofo_mlx.errors import DataError, RecipeError, RunError
from yofo_mlx.system import progress
from yofo_mlx.system.files import PART, disk_error
from yofo_mlx.system.quantities import duration, plural
from yofo_mlx.system.talk import say


@dataclass(frozen=True)
class Job:
    """A file, who answers it, and where the answers go."""

    table: QueryFile
    out: Path
    asker: Asker
    asked: Mapping[str, Any]
    """What the answers depend on, by a name that a user knows."""
    column_prefix: str
    at_once: int = ROWS_AHEAD


def is_done(out: Path, *, resume: bool) -> bool:
    """Tell whether there is nothing left to do; refuse to write over what is there."""
    output.check_name(out)
    if not out.parent.is_dir():
        raise RecipeError(f"{out.parent} is no folder", "make it, or give another --out")
    begun = journal_of(out)
    if begun.exists():
        if not resume:
            wrong = f"{out} was begun before: {begun.name} holds the answers there are"
            raise RecipeError(wrong, "go on with --resume, or remove that file to begin anew")
        return False
    if not out.exists():
        return False
    if not resume:
        raise RecipeError(f"{out} exists", "give another --out, or remove it")
    return True


def run(job: Job) -> Summary:
    """Answer what is not answered yet, then write all rows."""
    with Journal(job.out) as journal:
        _agree(job, journal)
        _remove_leftovers(job.out)
        _answer(job, journal)
        summary = Summary(job.asker.prefix.segmenter.said)
        names = column_names(job.asker.columns, job.column_prefix)
        kinds = {**job.asker.columns, "error": str}
        more = {names[name]: kind for name, kind in kinds.items()}
        try:
            output.write(job.out, job.table, _rows(job, journal, summary, names), more)
        except OSError as error:
            raise disk_error(error, job.out.parent, AGAIN) from error
        finally:
            progress.end()
        journal.remove()
    return summary


def column_names(columns: Mapping[str, type], prefix: str) -> dict[str, str]:
    """Return what the columns of the answers are called in the output."""
    return {name: f"{prefix}{name}" for name in [*columns, "error"]}


def _agree(job: Job, journal: Journal) -> None:
    """Go on only with answers that depend on the same."""
    if not journal.asked:
        journal.begin(job.asked)
        return
    changed = [name for name, value in job.asked.items() if journal.asked.get(name) != value]
    if changed:
        wrong = f"{journal.path} was begun with other {', '.join(changed)}"
        raise RunError(wrong, "give what was given then, or remove that file to begin anew")


def _remove_leftovers(out: Path) -> None:
    """Remove what a process that was killed had written of the output."""
    for path in out.parent.glob(f"{PART}{glob.escape(out.stem)}.*{glob.escape(out.suffix)}"):
        path.unlink(missing_ok=True)


def _answer(job: Job, journal: Journal) -> None:
    queries = _left(job, journal)
    begun, before = time.monotonic(), journal.count
    row_s: float | None = None  # from whole groups: the rows of one come when most of it is read
    try:
        progress.tell("rows answered", before, max(before, job.table.count))
        while group := list(islice(queries, job.at_once)):
            for entry in ask(job.asker, group):
                journal.add([entry])
                done, total = journal.count, max(journal.count, job.table.count)
                left = "" if row_s is None else f", {duration(row_s * (total - done))} left"
                progress.tell(f"rows answered{left}", done, total)
            row_s = (time.monotonic() - begun) / (journal.count - before)
    except KeyboardInterrupt:
        progress.end()
        say(f"\n{journal.count:,} of {plural(job.table.count, 'row')} are answered, and kept")
        raise
    finally:
        progress.end()


def _left(job: Job, journal: Journal) -> Iterator[Query]:
    """Return the queries that have no answer yet; answers to what rows no longer ask are lost."""
    queries = iter(job.table)
    for place, entry in enumerate(journal):
        query = next(queries, None)
        if query is None or query.mark != entry["mark"]:
            say(f"{job.table.file.shown} has changed: rows from {place + 1:,} on are asked anew")
            journal.keep(place)
            return iter(()) if query is None else chain([query], queries)
    if journal.count:
        say(f"{plural(journal.count, 'row')} are answered already")
    return queries


def _rows(
    job: Job, journal: Journal, summary: Summary, names: Mapping[str, str]
) -> Iterator[Entry]:
    """Yield each row with its answer."""
    answers = iter(journal)
    for query in job.table:
        entry = next(answers, None)
        is_known = query.fields.keys() <= job.table.kinds.keys()
        if entry is None or entry["mark"] != query.mark or not is_known:
            raise _changed(job.table)
        summary.add(query, entry)
        failed = "error" in entry
        cells = {"error": entry["error"]} if failed else job.asker.cells(entry)
        yield query.fields | {told: cells.get(name) for name, told in names.items()}
        if not summary.rows % 1000:
            progress.tell("rows written", summary.rows, job.table.count)
    if next(answers, None) is not None:
        raise _changed(job.table)


def _changed(table: QueryFile) -> DataError:
    wrong = f"{table.file.shown} has changed while it was read"
    return DataError(wrong, f"the answers are kept: {AGAIN} asks for what changed")
