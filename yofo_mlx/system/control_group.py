"""What a control group of Linux, such as a container's, allows its processes together."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


class Files(NamedTuple):
    """Where a group's memory is told, and what of it the system takes back without harm."""

    limits: tuple[str, ...]
    used: str
    cached: tuple[str, ...]  # keys of memory.stat: files that were read or written


V1 = Files(
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)
V2 = Files(("memory.max", "memory.high"), "memory.current", ("inactive_file", "active_file"))


def limits() -> Iterator[int]:
    """Yield the bytes that each group around this process allows."""
    for folder, files in _groups(MOUNT, MEMBERSHIP):
        yield from _limits(folder, files)


def free(size: int) -> Iterator[int]:
    """Yield the bytes that each of those groups has left; what it keeps of files can go.

    Left out is a group that allows more than this machine's `size`: that is no limit.
    """
    for folder, files in _groups(MOUNT, MEMBERSHIP):
        allowed = min(_limits(folder, files), default=None)
        if allowed is None or allowed > size:
            continue
        with suppress(OSError, ValueError):  # a group that is just being removed
            used = int(_read(folder / files.used))
            lines = (line.split() for line in _read(folder / "memory.stat").splitlines())
            used -= sum(int(value) for key, value in lines if key in files.cached)
            yield max(0, allowed - used)


@cache
def _groups(mount: Path, membership: Path) -> tuple[tuple[Path, Files], ...]:
    """Return the groups that this process is in, from its own to the outermost one seen here.

    Inside a container its group may be mounted as the outermost one: the path that the system
    tells is not there then.
    """
    found: list[tuple[Path, Files]] = []
    with suppress(OSError):
        for line in membership.read_text("utf-8", "replace").splitlines():
            number, _, told = line.partition(":")
            controllers, _, path = told.partition(":")
            if "memory" in controllers.split(","):
                root, files = mount / "memory", V1
            elif number == "0" and not controllers:
                root, files = mount, V2
            else:
                continue
            own = root / path.lstrip("/")
            inside = [own, *own.parents]
            found += [(one, files) for one in inside[: inside.index(root) + 1] if one.is_dir()]
    return tuple(found)


def _limits(folder: Path, files: Files) -> Iterator[int]:
    for name in files.limits:
        with suppress(OSError):
            if (text := _read(folder / name)).isdecimal():
                yield int(text)


def _read(path: Path) -> str:
    return path.read_text("ascii").strip()
