"""Inputs without answers before demonstrations: unsupervised many-shot ICL (arXiv 2404.11018)."""

from collections.abc import Sequence
from pathlib import Path

from yofo_mlx.answering.queries import Wanted, look
from yofo_mlx.errors import DataError, RecipeError
from yofo_mlx.prompting.demonstrations import Style, text_of
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.reading.formats import format_of

MARK = "inputs:"  # before the name of a file, where demonstrations are named
PREAMBLE = "Inputs of the same kind as those that will be asked, without their answers:"


def read(name: str, style: Style) -> tuple[str, ...]:
    """Return the inputs in a file, each once; answers that it has are not looked at.

    `name` begins with the mark. A file that is no table has one on each line.
    """
    name = name.removeprefix(MARK)
    if not name:
        raise RecipeError(f"`{MARK}` names no file", f"such as `--demos {MARK}more.csv`")
    path = locate.find(name, Path.cwd())
    if path is not None and path.is_file() and format_of(path.name) is None:
        texts = text_of(path).splitlines()
    else:
        table = look(name, Wanted(style.input, None, style.records, style.tasks))
        texts = [query.text for query in table]
    found = tuple(dict.fromkeys(filter(None, (text.strip() for text in texts))))
    if not found:
        raise DataError(f"{shorten(name, 500)} holds no inputs", "write one on each line")
    return found


def before(instruction: str, inputs: Sequence[str]) -> str:
    """Return what stands before demonstrations: inputs without answers, then the instruction."""
    if not inputs:
        return instruction
    listed = "\n".join(f"- {text}" for text in inputs)
    return "\n\n".join(filter(None, (f"{PREAMBLE}\n{listed}", instruction)))
