"""Many questions at once: lines of text, or the rows of a file."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from yofo_mlx.answering import queries
from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import reason

MOST: Final = 1000  # questions asked here at once
PLAIN: Final = (".txt", ".md", "")


def lines_of(text: str) -> list[str]:
    """Return the lines that hold something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def file_in(pasted: str) -> Path | None:
    """Return the file that a terminal pastes the path of when one is dropped on it."""
    text = pasted.strip()
    if not text or "\n" in text or "\r" in text or len(text) > 4096:
        return None
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    elif text[0] == text[-1] and text[0] in "'\"" and len(text) > 1:
        text = text[1:-1]
    else:
        text = re.sub(r"\\(.)", r"\1", text)
    path = Path(text)
    try:
        path = path.expanduser()
        return path if path.is_absolute() and path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def read(path: Path) -> list[str]:
    """Return the questions of a file: its lines, or its rows as `yofo ask` reads them."""
    if path.suffix.lower() in PLAIN:
        try:
            found = lines_of(path.read_text("utf-8-sig"))
        except (OSError, ValueError) as error:
            hint = "give UTF-8 text, a question a line"
            raise DataError(f"{path}: {reason(error)}", hint) from error
    else:
        found = [one.text for one in queries.look(str(path), queries.Wanted()) if not one.error]
    if not found:
        raise DataError(f"{path} holds no question", "give a question a line, or a row")
    if len(found) > MOST:
        wrong = f"{path.name} holds {plural(len(found), 'question')}; here are asked at most {MOST}"
        raise YofoError(wrong, f"`yofo ask` or `yofo classify` answers all: {path}")
    return found
