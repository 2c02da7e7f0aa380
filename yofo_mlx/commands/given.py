"""What a user gives before queries are asked: a model, demonstrations, labels."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from yofo_mlx.commands import unlabelled
from yofo_mlx.errors import DataError, RecipeError
from yofo_mlx.evaluation import subjects
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.choosing import Shots
from yofo_mlx.prompting.demonstrations import Parsed, Style
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.protocol import CACHE_SUFFIX
from yofo_mlx.recipe.ways import Way
from yofo_mlx.system.text import is_utf8, reason, shorten

UNCHOSEN = (None, None, "balanced")
"""Shots, seed and way of whoever says nothing of them."""


@dataclass(frozen=True)
class Answerer:
    """Who answers, and behind what, as it was asked for."""

    run: str | None = None  # or a model
    model: str | None = None
    adapter: str | None = None
    base: bool = False
    demos: Sequence[str] = ()
    shots: Shots = None
    seed: int | None = None

    def held(self) -> Model:
        """Return the model; what is not there is told before anything is loaded."""
        return model_of(self.run, self.model, self.adapter, base=self.base)


def model_of(run: str | None, model: str | None, adapter: str | None, *, base: bool) -> Model:
    """Return who answers; what is not there is told before anything is loaded."""
    subject = subjects.find(run, model, adapter)
    folder = str(subject.adapter) if subject.adapter else None
    named = Model(run or "last", model) if subject.run else Model(None, subject.model, folder)
    return replace(named, use_adapter=not base)


def argument(text: str) -> str:
    """Return a text of the command line, read as UTF-8 where the locale knows ASCII alone."""
    return text if is_utf8(text) else os.fsencode(text).decode("utf-8", "surrogateescape")


def labels_of(given: Sequence[str]) -> list[str]:
    """Return labels, each once: those that bars join, and of `@FILE` those on its lines."""
    texts: list[str] = []
    for some in map(argument, given):
        texts += _lines(Path(some[1:])) if some.startswith("@") else some.split("|")
    labels = list(dict.fromkeys(filter(None, (label.strip() for label in texts))))
    if given and not labels:
        hint = "join them by bars, as in 'a|b', or name @FILE with one on each line"
        raise RecipeError("no label is among the labels that are given", hint)
    return labels


def _lines(path: Path) -> list[str]:
    try:
        return path.expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or reason(error)
        wrong = f"{shorten(str(path), 500)}: {why}"
        raise DataError(
            wrong, "`@FILE` names a file with a label on each line, in UTF-8"
        ) from error


def parsed(names: Sequence[str], style: Style) -> Parsed | None:
    """Read the demonstrations of all that is named, but of no prompt cache."""
    names = [name for name in names if not name.endswith(CACHE_SUFFIX)]
    inputs = [unlabelled.read(name, style) for name in names if name.startswith(unlabelled.MARK)]
    parts = [_part(name, style) for name in names if not name.startswith(unlabelled.MARK)]
    if not inputs:
        return demonstrations.joined(parts) if parts else None
    found = demonstrations.joined(parts) if parts else Parsed((), (), "nothing")
    return replace(found, inputs=tuple(dict.fromkeys(chain(*inputs))))


def _part(name: str, style: Style) -> Parsed:
    if name == "-":
        found = demonstrations.parse(_standard_input(), style)
    else:
        found = demonstrations.read(name, style)
    if not found.examples:
        shown = "standard input" if name == "-" else shorten(name, 500)
        why = f": {found.problems[0]}" if found.problems else ""
        hint = "write lines such as `input -> output`, or say --input and --output"
        raise DataError(f"{shown} holds no demonstrations{why}", hint)
    return found


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        hint = "convert it: iconv -f WINDOWS-1252 -t UTF-8"
        raise DataError(f"standard input is not UTF-8 ({reason(error)})", hint) from error


def check_caches(names: Sequence[str], *, is_chosen: bool) -> None:
    """Refuse a saved prompt cache beside what it cannot be put together with."""
    caches = [name for name in names if name.endswith(CACHE_SUFFIX)]
    if caches and len(names) > 1:
        wrong = f"a saved prompt cache stands alone: {shorten(caches[0], 500)}"
        raise RecipeError(wrong, "leave the other `--demos` out, or add them with /demos")
    if caches and is_chosen:
        wrong = f"a saved prompt cache is taken as it stands: {shorten(caches[0], 500)}"
        raise RecipeError(wrong, "leave --shots, --seed and --choose out")


def check_way(
    way: Way, shots: Shots, block: int | None = None, blocks_share: float | None = None
) -> None:
    """Refuse what contradicts the way that demonstrations are chosen."""
    if way != "blocks" and (block or blocks_share):
        option = "--block" if block else "--blocks-share"
        raise RecipeError(f"{option} is about `--choose blocks`", "add that, or leave it out")
    if way == "blocks" and shots == 0:
        wrong = "`--choose blocks` divides demonstrations, and `--shots 0` shows none"
        raise RecipeError(wrong, "leave one of them out")
    if way == "all" and isinstance(shots, int):
        wrong = f"`--choose all` and `--shots {shots}` contradict each other"
        raise RecipeError(wrong, "leave one of them out")
