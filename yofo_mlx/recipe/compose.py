"""A recipe made of several files: what a file includes comes before it, and later beats earlier."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import INSTEAD, OF_THE_MODEL, Origins, find_recipe, read_toml
from yofo_mlx.recipe.schema import Composition
from yofo_mlx.system.text import shorten


@dataclass
class Composed:
    """What files say together, and which of them had the last word on each key."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=dict)

    def add(self, said: dict[str, Any], path: Path) -> None:
        """Put a file on top: tables merge key by key, anything else is replaced whole."""
        model = self.data.get("model")
        if model is not None and said.get("model", model) != model:
            for key in OF_THE_MODEL:
                self.data.pop(key, None)
        for key, value in said.items():
            self.origins[(key,)] = path
            if isinstance(value, dict):
                self.origins |= {(key, inner): path for inner in value}
                below = self.data.get(key)
                if isinstance(below, dict):
                    gone = {one for inner in value for one in INSTEAD.get(f"{key}.{inner}", ())}
                    value = {one: below[one] for one in below if one not in gone} | value
            self.data[key] = value


def compose(paths: Sequence[Path], below: dict[str, Any] | None = None) -> Composed:
    """Read recipe files with all that they include, from left to right; they beat `below`."""
    whole = Composed(below or {})
    for path in paths:
        for file, said in _files(path):
            whole.add(said, file)
    return whole


def standalone(path: Path) -> str:
    """Return the text of a shipped recipe with the data sets that it includes at its end."""
    text = path.read_text(encoding="utf-8")
    others = [file.read_text(encoding="utf-8") for file, _ in _files(path)][:-1]
    return "\n".join([re.sub(r"^include = .*\n", "", text, flags=re.MULTILINE), *others])


def _files(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield a file after all that it includes, with what each says; none of them twice."""
    seen: set[Path] = set()
    begun: set[Path] = set()  # and not yet yielded
    waiting: list[tuple[tuple[Path, ...], dict[str, Any] | None]] = [((path,), None)]
    while waiting:
        chain, said = waiting.pop()
        file, real = chain[-1], chain[-1].resolve()
        if said is not None:
            begun.remove(real)
            yield file, said
        elif real in begun:
            shown = " > ".join(map(str, chain))
            raise RecipeError(f"{file} includes itself: {shorten(shown, 400)}", "leave one out")
        elif real not in seen:
            seen.add(real)
            begun.add(real)
            said = read_toml(file)
            included = _included(file, said.pop("include", ()))
            waiting.append((chain, said))
            waiting += [((*chain, other), None) for other in reversed(included)]


def _included(file: Path, given: Any) -> list[Path]:
    try:
        names = Composition(include=given).include
    except ValidationError:
        raise RecipeError(
            f"{file}: `include` must be a file or a list of files",
            'for example include = "shared.toml"',
        ) from None
    try:
        return [find_recipe(name, file.parent) for name in names]
    except RecipeError as error:
        raise RecipeError(
            f"{file}: `include`: {error.message}",
            "give its path from the folder of that file, or the name of a shipped recipe",
        ) from None
