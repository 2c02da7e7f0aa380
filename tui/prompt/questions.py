"""Many questions at once: lines of text, or the rows of a file."""

from pathlib import Path
from typing import Final

from yofo_mlx.answering import queries
from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import reason

MOST: Final = 1000  # questions asked here at once
PLAIN: Final = (".txt", ".md", "")


def lines_of(text: str) -> list[str]:
    """Return the lines that hold something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


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
