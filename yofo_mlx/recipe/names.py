"""What the names in a recipe stand for: by their looks, and where they are looked up."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from yofo_mlx.errors import RecipeError
from yofo_mlx.system.text import is_utf8

EMBEDDED: Final = "tiny"
GGUF: Final = ".gguf"  # how the names of models in one file end
SUITE: Final = "tiny:"  # how the sources of its tasks begin
GENERATED: Final = "synthetic:"  # how the sources of generated tasks begin

_WILD = re.compile(r"[*?]")


def is_on_hub(name: str) -> bool:
    """Tell whether a model is named by its id on the hub."""
    return name != EMBEDDED and not is_path(name)


def is_path(name: str) -> bool:
    """Tell whether a name is a path."""
    return name.startswith((".", "~", os.sep)) or is_gguf(name)


def is_gguf(name: str) -> bool:
    """Tell whether a model is named by a file of llama.cpp's format."""
    return name.lower().endswith(GGUF)


def is_folder(name: str) -> bool:
    """Tell whether there is a folder of this name."""
    return _is(name, Path.is_dir)


def is_file(name: str) -> bool:
    """Tell whether there is a file of this name."""
    return _is(name, Path.is_file)


def _is(name: str, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(Path(name).expanduser())
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, the home of nobody
        return False


def model_here(name: str) -> str:
    """Return what a model's name stands for in the current folder."""
    return absolute(name, [Path.cwd()])


def absolute(name: str, starts: Sequence[Path]) -> str:
    """Return what a name stands for: an absolute path, or the name of something that is no path."""
    found = next((there for start in starts if (there := found_at(name, start))), None)
    if found is None and is_path(name) and not name.startswith("~") and starts:
        found = starts[0] / name
    if found is None or name == EMBEDDED:
        return name
    path = _plain(str(found.absolute()))
    if not is_utf8(path):
        raise RecipeError(
            f"{path}: no recipe can hold a path that is not UTF-8", "rename its folder"
        )
    return path


def _plain(path: str) -> str:
    """Return a path without `..`, where a link on the way does not make it another place."""
    plain = os.path.normpath(path)
    try:
        return plain if os.path.realpath(plain) == os.path.realpath(path) else path
    except ValueError:  # a NUL
        return path


def found_at(name: str, start: Path = Path()) -> Path | None:
    """Return the path of what is there, or of a pattern that something matches."""
    try:
        path = start / Path(name).expanduser()
        return path if os.path.lexists(path) or _matches(path) else None
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, the home of nobody
        return None


def _matches(pattern: Path) -> bool:
    """Tell whether anything fits a path with `*` or `?`; the folders before them are as written."""
    fixed = [folder for folder in pattern.parents if not _WILD.search(str(folder))]
    return _WILD.search(str(pattern)) is not None and any(
        fixed[0].glob(str(pattern.relative_to(fixed[0])))
    )
