"""Runs renamed, removed to the trash and brought back: what was trained is never lost on the way.

The trash lies in the folder of runs, so that a run is removed by renaming its folder: at once and
whole. It is `.trash/<time in ns>/<run>`, until the trash is emptied.
"""

import os
import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_SH
from pathlib import Path

from yofo_mlx.errors import RecipeError, RunError, YofoError
from yofo_mlx.recipe.file import to_toml, validate
from yofo_mlx.runs import listing, lock
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.names import NEWEST, ambiguous, chosen, folded, matching
from yofo_mlx.runs.trained import is_edited
from yofo_mlx.system import paths
from yofo_mlx.system.files import PART, move, size_of, write_text
from yofo_mlx.system.text import reason, shorten


@dataclass(frozen=True)
class Removed:
    """A run in the trash."""

    path: Path

    @property
    def run_id(self) -> str:
        """What it is called."""
        return self.path.name

    @property
    def when(self) -> float:
        """When it was removed, in seconds since the epoch."""
        return int(self.path.parent.name) / 1e9


def folder() -> Path:
    """Return the folder of removed runs."""
    return paths.runs() / listing.TRASH


def removed_runs() -> list[Removed]:
    """Return what is in the trash, removed last first; what is being moved is not there yet."""
    entries = [path for path in folder().glob("*/*") if path.parent.name.isdecimal()]
    folders = [path for path in entries if path.is_dir() or path.is_symlink()]
    found = [Removed(path) for path in folders if not path.name.startswith(PART)]
    return sorted(found, key=lambda removed: int(removed.path.parent.name), reverse=True)


def find_removed(name: str) -> Removed:
    """Return the run in the trash with this id, a unique part of it, or that was removed last.

    Of several that have the same id it is the one removed last.
    """
    everything = removed_runs()
    if name == NEWEST and everything:
        return everything[0]
    matches = matching(name, list(dict.fromkeys(one.run_id for one in everything)))
    if len(matches) > 1:
        raise ambiguous(name, matches)
    if not matches:
        words = "is not in the trash" if everything else "is not in the trash, which is empty"
        raise RecipeError(f"run '{shorten(name, 200)}' {words}", "`yofo restore` lists what is")
    return next(one for one in everything if one.run_id == matches[0])


def check_removable(run: Run) -> None:
    """Refuse a run that lies elsewhere, or that is being trained."""
    if run.path.parent != paths.runs():
        raise RunError(
            f"{run.path} is not in {paths.runs()}, whose runs alone go to the trash",
            f"remove it for good with: rm -r {shlex.quote(str(run.path))}",
        )
    with resting(run):
        pass


def remove(run: Run) -> Removed:
    """Move a run to the trash."""
    check_removable(run)
    removed = Removed(_new_entry() / run.run_id)
    try:
        with resting(run):
            _move(run.path, removed.path)
    except BaseException:
        with suppress(OSError):
            removed.path.parent.rmdir()
        raise
    return removed


def check_restorable(removed: Removed, name: str | None = None) -> Run:
    """Return the run that a run in the trash is to be again; refuse where its name is taken."""
    run = Run(paths.runs() / (chosen(name) if name is not None else removed.run_id))
    other = f"yofo restore {shlex.quote(removed.run_id)} --name NAME"
    _check_free(run, f"bring it back under another name: {other}")
    return run


def restore(removed: Removed, name: str | None = None) -> Run:
    """Move a run from the trash to where it was, or to another name."""
    with resting(Run(removed.path)), listing.one_at_a_time(paths.runs()):
        run = check_restorable(removed, name)
        _move(removed.path, run.path)
    with suppress(OSError):
        removed.path.parent.rmdir()
    _follow(Run(run.path.with_name(removed.run_id)), run)
    return run


def delete(doomed: Sequence[Removed]) -> int:
    """Delete runs of the trash for good; return how many bytes that frees."""
    with ExitStack() as stack:
        for removed in doomed:
            stack.enter_context(resting(Run(removed.path)))
        return sum(_delete(removed.path.parent) for removed in doomed)


def delete_leftovers() -> int:
    """Delete what was cut off on its way to the trash or back; return how many bytes that frees."""
    kept = {removed.path.parent for removed in removed_runs()}
    freed = sum(_delete(path) for path in folder().glob("*") if path not in kept)
    if paths.runs().is_dir():
        with listing.one_at_a_time(paths.runs()):  # nobody is copying a run back
            freed += sum(_delete(path) for path in paths.runs().glob(f"{PART}*"))
    return freed


def rename(run: Run, name: str) -> Run:
    """Give a run's folder another name; runs that begin from its adapter go by the new one."""
    renamed = Run(run.path.with_name(chosen(name)))
    if renamed == run:
        raise RecipeError(f"run {run.run_id} has that name already", "choose another name")
    with resting(run), listing.one_at_a_time(run.path.parent):
        if folded(renamed.run_id) != folded(run.run_id):
            _check_free(renamed, "choose another name")
        _move(run.path, renamed.path)
    _follow(run, renamed)
    return renamed


def descendants(run: Run) -> Iterator[tuple[Run, Path]]:
    """Yield the runs that begin from a run's adapter, and where in its folder that is."""
    for other in listing.list_runs():
        start = (other.info().recipe or {}).get("init_adapter")
        with suppress(OSError, ValueError, RuntimeError):  # of a damaged file; or lies elsewhere
            yield other, Path(str(start)).resolve().relative_to(run.path.resolve())


def _follow(before: Run, now: Run) -> None:
    """Let the runs that begin from a run's adapter go by the run's new name."""
    for run, place in [] if now == before else list(descendants(before)):
        info, path = run.info(), str(now.path / place)
        recipe, edited = (info.recipe or {}) | {"init_adapter": path}, is_edited(run, info)
        kept = info.model_dump().get("init_adapter")  # what that adapter was
        run.note(recipe=recipe, **({"init_adapter": kept | {"path": path}} if kept else {}))
        if not edited:
            with suppress(YofoError):  # of a version that has other keys
                write_text(run.recipe_path, to_toml(validate(recipe, "")))


@contextmanager
def staying(run: Run) -> Iterator[None]:
    """Keep a run where it is while something is added to its folder; trainers are let be."""
    with ExitStack() as stack:
        _hold(stack, run.path, LOCK_SH)
        yield


@contextmanager
def resting(run: Run) -> Iterator[None]:
    """Keep trainers away from a run while it is moved; refuse if it is in use."""
    with ExitStack() as stack:
        if not _hold(stack, run.path, LOCK_EX):
            raise RunError(
                f"run {run.run_id} is being evaluated",
                "wait until that ends, or interrupt it: what was measured is kept",
            )
        with suppress(OSError):  # there is no lock before the first start
            file = stack.enter_context(run.lock_path.open())
            if not lock.take(file, LOCK_SH):  # shared: nobody takes us for a trainer
                pid = file.read().strip() or "unknown"
                raise RunError(
                    f"run {run.run_id} is being trained by process {pid}",
                    f"stop it first: yofo stop {listing.word(run)}",
                )
        yield


def _hold(stack: ExitStack, folder: Path, how: int) -> bool:
    """Lock a folder for the life of a stack; False if somebody else's lock is in the way."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, descriptor)
        return lock.take(descriptor, how)
    except OSError:  # it is no folder; or a network's disk, which may lock none
        return True


def _check_free(run: Run, hint: str) -> None:
    """Refuse a name that is taken where a run is to lie."""
    for path in run.path.parent.iterdir():
        if folded(path.name) == folded(run.run_id):
            raise RecipeError(f"there is a run {path.name} already", hint)


def _new_entry() -> Path:
    while True:
        path = folder() / str(time.time_ns())
        try:
            path.mkdir(parents=True)
        except OSError as error:
            if not path.is_dir():
                raise _refused(f"nothing can be put into {folder()}", error) from error
            continue  # somebody was there in the same moment
        return path


def _move(source: Path, target: Path) -> None:
    try:
        move(source, target)
    except OSError as error:
        raise _refused(f"{source} cannot be moved", error) from error


def _refused(what: str, error: OSError) -> RunError:
    return RunError(
        f"{what}: {error.strerror or reason(error)}",
        "nothing is lost: it is where it was; check the folder's owner and its disk",
    )


def _delete(entry: Path) -> int:
    """Delete an entry of the trash; whatever happens on the way, it is never offered by half."""
    doomed = entry if entry.name.startswith(PART) else entry.with_name(PART + entry.name)
    entry.rename(doomed)
    freed = size_of(doomed)
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed)
    else:
        doomed.unlink()
    return freed
