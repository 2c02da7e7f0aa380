"""What a text that is typed may become: files of data, folders, recipes, ids of the hub."""

import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from yofo_mlx.system.quantities import size
from yofo_mlx.tasks.reading.formats import format_of

from ..shared.recipes import here
from ..shared.words import number

NAME = re.compile(r"\w[\w.-]{2,95}(/[\w.-]{0,96})?")  # of the hub, or the beginning of one
MOST = 200  # entries of a folder that are looked at closely


@dataclass(frozen=True)
class Candidate:
    """What a text may become, and what that is."""

    text: str
    about: str
    is_folder: bool


def candidates(text: str) -> list[Candidate]:
    """Return what lies there whose name goes on as typed, data and folders only."""
    folder, _, start = text.rpartition("/")
    head = f"{folder}/" if "/" in text else ""
    try:
        place = here() / Path(head or ".").expanduser()
        names = sorted((path.name for path in place.iterdir()), key=str.casefold)
    except (OSError, ValueError, RuntimeError):
        return []
    fitting = [name for name in names if _goes_on(name, start)]
    found = (_candidate(place, head, name) for name in fitting[:MOST])
    return [one for one in found if one is not None]


def is_name(text: str) -> bool:
    """Tell whether a text may be of an id on the hub; what looks like a file here is not."""
    return bool(NAME.fullmatch(text)) and format_of(text) is None and not (here() / text).exists()


def of_hub(found: list[dict[str, Any]]) -> list[Candidate]:
    """Return what the hub found, with what it says of each."""
    return [Candidate(one["id"], _known(one), False) for one in found]


def _known(one: dict[str, Any]) -> str:
    loads = one["downloads"]
    said = ["hub", f"{one['rows']} rows" if one["rows"] else ""]
    said += [f"{number(loads)} downloads" if loads is not None else ""]
    return " · ".join(filter(None, [*said, "gated" if one["is_gated"] else ""]))


def shared_start(found: list[Candidate]) -> str:
    """Return how far all of them are alike."""
    columns = zip(*(one.text for one in found), strict=False)
    alike = takewhile(lambda letters: len(set(letters)) == 1, columns)
    return "".join(letters[0] for letters in alike)


def _goes_on(name: str, start: str) -> bool:
    if name.startswith(".") and not start.startswith("."):
        return False
    return name.casefold().startswith(start.casefold())


def _candidate(place: Path, head: str, name: str) -> Candidate | None:
    path = place / name
    try:
        if path.is_dir():
            return Candidate(f"{head}{name}/", "folder", True)
        if path.suffix == ".toml":
            return Candidate(head + name, "recipe", False)
        kind = format_of(name)
        if kind is None:
            return None
        return Candidate(
            head + name, f"{kind[1:].upper()}  {file_size(path.stat().st_size)}", False
        )
    except OSError:
        return None


def file_size(nbytes: int) -> str:
    """Return bytes in words, small ones in kB."""
    if nbytes >= 1e6:
        return size(nbytes)
    return f"{nbytes / 1e3:,.0f} kB" if nbytes >= 1000 else f"{nbytes} B"
