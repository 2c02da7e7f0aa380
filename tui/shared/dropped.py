"""A path in what a terminal pastes, as when a file is dropped on its window."""

import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit


def path_in(text: str) -> Path | None:
    """Return the file or folder that a pasted text is the path of; terminals quote it as shells do.

    Several dropped at once give the first.
    """
    line = text.strip()
    if not line or len(line) > 4096 or "\n" in line or "\r" in line:
        return None
    try:
        quoted = shlex.split(line)
    except ValueError:  # an apostrophe in a name
        quoted = []
    found = (_existing(word) for word in (line, *quoted[:1]))
    return next((path for path in found if path is not None), None)


def _existing(word: str) -> Path | None:
    if word.startswith("file://"):
        word = unquote(urlsplit(word).path)
    is_path = word.startswith(("/", "~", ".")) or "/" in word or "." in word
    try:
        path = Path(word).expanduser()
        return path if is_path and path.exists() else None
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a NUL
        return None
