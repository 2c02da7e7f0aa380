"""Paths in what a terminal pastes, as when files are dropped on its window."""

import shlex
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

LONGEST = 4096  # characters of a line of paths


def path_in(text: str) -> Path | None:
    """Return the file or folder that a pasted text is the path of, the first of several."""
    return next(iter(paths_in(text)), None)


def file_in(text: str) -> Path | None:
    """Return the file that was dropped where one may write, too: by its whole path."""
    return next(iter(files_in(text)), None)


def files_in(text: str) -> list[Path]:
    """Return the files that were dropped where one may write, too: by their whole paths."""
    found = paths_in(text)
    return found if all(path.is_absolute() and path.is_file() for path in found) else []


def paths_in(text: str) -> list[Path]:
    """Return the files and folders that a text is the paths of, quoted as shells do.

    A text that is more than paths has none; of several, those that are gone are left out.
    """
    line = text.strip()
    if not line or len(line) > LONGEST or "\n" in line or "\r" in line:
        return []
    if (path := _existing(line)) is not None:
        return [path]
    words = []
    with suppress(ValueError):  # an apostrophe in a text
        words = shlex.split(line)
    found = [_existing(word) for word in words]
    is_dropped = all(map(_is_whole, words)) if len(words) > 1 else True
    return [path for path in found if path is not None] if is_dropped else []


def _is_whole(word: str) -> bool:
    return word.startswith(("/", "~", "file://"))


def _existing(word: str) -> Path | None:
    if word.startswith("file://"):
        word = unquote(urlsplit(word).path)
    is_path = word.startswith(("/", "~", ".")) or "/" in word or "." in word
    try:
        path = Path(word).expanduser()
        return path if is_path and path.exists() else None
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a NUL
        return None
