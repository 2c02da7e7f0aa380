"""What takes room: runs, checkpoints, caches, models; and how each of them can go."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx.errors import RunError
from yofo_mlx.hub.cached import cached_repos
from yofo_mlx.runs import listing, trash
from yofo_mlx.runs.folder import Run
from yofo_mlx.storage import bin
from yofo_mlx.system import paths
from yofo_mlx.system.files import PART, size_of

KINDS = {  # what goes with it
    "checkpoints": "the finished run cannot be made longer",
    "run": "the run with its adapter",
    "trash": "what was removed before, for good",
    "prompts": "is read again from the demonstrations",
    "demos": "is read again from the set",
    "base-results": "the base model is measured again",
    "evaluations": "what was measured of no run",
    "study": "the study with its adapters",
    "model": "is made again from its GGUF file",
    "adapter": "is made again from its PEFT form",
    "hub": "is downloaded again",
}
UNFINISHED = "the unfinished run begins anew"


@dataclass(frozen=True)
class Item:
    """Something that takes room."""

    kind: str
    name: str  # by which it is freed, such as `checkpoints:20260101-120000-mine`
    path: Path
    nbytes: int
    used: float  # changed or read last, in seconds since the epoch
    why_not: str = ""  # it cannot go
    undo: bool = True
    spare: bool = False  # it goes with others of its kind; else by its own name alone

    @property
    def cost(self) -> str:
        """What it means that it goes."""
        words = KINDS[self.kind]
        return UNFINISHED if self.kind == "checkpoints" and not self.spare else words


def items() -> list[Item]:
    """Return what takes room, the largest first."""
    found = [*_runs(), *_caches(), *_hub()]
    return sorted((one for one in found if one.nbytes), key=lambda one: one.nbytes, reverse=True)


def _runs() -> Iterator[Item]:
    for run in listing.list_runs():
        busy = "it is being trained" if run.is_locked() else ""
        used, checkpoints = _mtime(run.path), size_of(run.checkpoints_path)
        rest = size_of(run.path.resolve()) - checkpoints
        path = run.checkpoints_path
        name, spare = f"checkpoints:{run.run_id}", not busy and run.status() == "finished"
        yield Item("checkpoints", name, path, checkpoints, used, busy, spare=spare)
        yield Item("run", f"run:{run.run_id}", run.path, rest, used, busy)
    removed = [one.path for one in trash.removed_runs()] + [one.content for one in bin.thrown()]
    total = sum(map(size_of, removed))
    newest = max(map(_mtime, removed), default=0.0)
    yield Item("trash", "trash", trash.folder(), total, newest, undo=False, spare=True)


def _caches() -> Iterator[Item]:
    places = {
        "prompts": paths.prompts(),
        "evaluations": paths.evaluations(),
        "study": paths.studies(),
        "model": paths.models(),
        "adapter": paths.adapters(),
    }
    for kind, folder in places.items():
        for path in _entries(folder):
            spare = kind in ("prompts", "model", "adapter")
            name = f"{kind}:{path.name}"
            yield Item(kind, name, path, size_of(path), _mtime(path), spare=spare)
    for path in sorted(paths.demos().glob("*.caches")):
        name = f"demos:{path.stem}"
        yield Item("demos", name, path, size_of(path), _mtime(path), spare=True)
    base = paths.base_results()
    yield Item("base-results", "base-results", base, size_of(base), _mtime(base), spare=True)


def _hub() -> Iterator[Item]:
    for repo in cached_repos():
        name = f"hub:{repo.id}" if repo.kind == "model" else f"hub:{repo.kind}s/{repo.id}"
        yield Item("hub", name, repo.path, repo.nbytes, repo.used, undo=False)


def _entries(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if not path.name.startswith((".", PART)))


def _mtime(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def free_room() -> int:
    """Return how many bytes the disk of yofo's folder has left."""
    place = next(path for path in (paths.home(), *paths.home().parents) if path.is_dir())
    return shutil.disk_usage(place).free


def free_item(item: Item) -> None:
    """Let something go: to a trash where it can be brought back from there, else for good."""
    if item.why_not:
        raise RunError(f"{item.name}: {item.why_not}", "free it when that has ended")
    if item.kind == "run":
        trash.remove(Run(item.path))
    elif item.kind == "checkpoints":
        with trash.resting(Run(item.path.parent)):
            bin.throw(item.path, listing.origin(Run(item.path.parent)))
    elif item.kind == "trash":
        trash.delete(trash.removed_runs())
        trash.delete_leftovers()
        bin.empty()
    elif item.kind == "hub":
        shutil.rmtree(item.path)  # the hub has it still
    else:
        bin.throw(item.path)
