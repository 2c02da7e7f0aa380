"""`yofo rm`, `yofo restore` and `yofo rename`."""

import shlex
import time
from collections.abc import Sequence
from typing import Any

from yofo_mlx.commands.terminal_table import show_table
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.runs import listing, trash
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.files import size_of
from yofo_mlx.system.quantities import age, plural, size
from yofo_mlx.system.talk import print_path, say, say_next
from yofo_mlx.system.text import json_line, shorten

MOST_WORDS = 1000  # characters of a note


def remove(names: Sequence[str], *, for_good: bool = False) -> ExitCode:
    """Move runs to the trash, or delete those in the trash; all are looked at before the first."""
    if for_good:
        return _empty(names)
    if not names:
        raise RecipeError("no run is named", "`yofo rm RUN`; `yofo rm --empty` empties the trash")
    chosen = list(dict.fromkeys(map(listing.find_any, names)))
    for run in chosen:
        trash.check_removable(run)
    for run in chosen:
        heirs = [heir.run_id for heir, _ in trash.descendants(run) if heir not in chosen]
        trash.remove(run)
        say(f"{run.run_id} is in the trash")
        if heirs:
            say(f"  begun from its adapter, and going on without it: {', '.join(heirs)}")
    held = trash.removed_runs()
    holds = f"{plural(len(held), 'run')}, {size(sum(size_of(removed.path) for removed in held))}"
    say(f"the trash holds {holds}; `yofo rm --empty` frees that for good")
    say_next(f"restore {shlex.join(run.run_id for run in chosen)}")
    return ExitCode.OK


def _empty(names: Sequence[str]) -> ExitCode:
    chosen = [*dict.fromkeys(map(trash.find_removed, names))] or trash.removed_runs()
    freed = trash.delete(chosen)
    freed += 0 if names else trash.delete_leftovers()
    is_empty = not (chosen or freed)
    done = f"{plural(len(chosen), 'run')} deleted for good: {size(freed)} freed"
    say("the trash is empty" if is_empty else done)
    return ExitCode.OK


def restore(names: Sequence[str], *, name: str | None = None, as_json: bool = False) -> ExitCode:
    """Bring runs back from the trash, or list what is in it."""
    if name is not None and len(names) != 1:
        raise RecipeError("--name is for one run", "name the run that it is for: RUN --name NAME")
    if not names:
        return _list(as_json=as_json)
    chosen = list(dict.fromkeys(map(trash.find_removed, names)))
    for removed in chosen:
        trash.check_restorable(removed, name)
    restored = []
    for removed in chosen:
        run = trash.restore(removed, name)
        restored.append({"run_id": run.run_id, "path": str(run.path)})
        if not as_json:
            _tell(run)
    if as_json:
        print(json_line(restored))
    return ExitCode.OK


def _list(*, as_json: bool) -> ExitCode:
    rows: list[dict[str, Any]] = [
        {
            "run_id": removed.run_id,
            "removed": removed.when,
            "bytes": size_of(removed.path),
            "path": str(removed.path),
        }
        for removed in trash.removed_runs()
    ]
    if as_json:
        print(json_line(rows))
        return ExitCode.OK
    if not rows:
        say("the trash is empty")
        return ExitCode.OK
    now = time.time()
    cells = [
        [row["run_id"], f"{age(now - row['removed'])} ago", size(row["bytes"])] for row in rows
    ]
    show_table(("run", "removed", "size"), cells, numbers=("removed", "size"))
    say("`yofo rm --empty` deletes all of it for good")
    say_next(f"restore {shlex.quote(rows[0]['run_id'])}")
    return ExitCode.OK


def rename(name: str, new: str) -> ExitCode:
    """Give a run another name."""
    run = listing.find_any(name)
    renamed = trash.rename(run, new)
    say(f"{run.run_id} is now {renamed.run_id}")
    _tell(renamed)
    return ExitCode.OK


def note(name: str, text: str) -> ExitCode:
    """Keep a line of words with a run."""
    run = listing.find(name)
    run.note(note=shorten(text, MOST_WORDS))
    _tell(run)
    return ExitCode.OK


def _tell(run: Run) -> None:
    print_path(run.path)
    say_next(f"runs {listing.word(run)}")
