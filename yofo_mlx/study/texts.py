"""Plain texts that nobody trains on: the loss on them tells what was forgotten."""

import hashlib
from collections.abc import Iterator, Sequence
from os import devnull
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.recipe.study import Study
from yofo_mlx.tasks.problems import Problem
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.reading.readers import read_rows

USUAL = ("text", "input")


def read_texts(settings: Study) -> list[str]:
    """Return the texts of a study, in the order of the file, as many as may be needed."""
    if settings.forgetting is None:
        return []
    path = Path(settings.forgetting)
    if path.suffix == ".txt":
        try:
            found = [path.read_text("utf-8")]
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}", "see study.forgetting") from error
    else:
        found = list(_column(settings))
    texts, room = [], 8 * settings.forgetting_tokens  # a token has fewer characters than that
    for text in filter(str.strip, found):
        texts.append(text)
        room -= len(text)
        if room < 0:
            break
    if not texts:
        raise DataError(
            f"{path} holds no text",
            "name a file and, of a table, its column: study.forgetting, study.forgetting_column",
        )
    return texts


def _column(settings: Study) -> Iterator[str]:
    source = TaskSource(source=settings.forgetting or "", role="held_out")
    names = [settings.forgetting_column] if settings.forgetting_column else USUAL
    problems: list[Problem] = []
    for pieces in locate.pieces(source, Path(devnull)).pieces.values():
        for piece in pieces:
            for row in read_rows(piece.file, problems, piece.records):
                name = next((name for name in names if name in row.fields), None)
                if name is None:
                    raise DataError(
                        f"{row.place}: no column {' or '.join(names)}",
                        f"study.forgetting_column: there are {', '.join(row.fields)}",
                    )
                yield str(row.fields[name])


def fingerprint(texts: Sequence[str], tokens: int) -> str:
    """Return a hash of what is read."""
    whole = hashlib.sha256(f"{tokens}".encode())
    for text in texts:
        whole.update(b"\0" + text.encode("utf-8", "surrogatepass"))
    return whole.hexdigest()[:32] if texts else ""
