"""A run in the making: a recipe, what of it is to be otherwise, and what is wrong with that."""

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.recipe.compose import Composed, compose
from yofo_mlx.recipe.file import INSTEAD, OF_THE_MODEL, Place, mistakes
from yofo_mlx.recipe.names import absolute
from yofo_mlx.runs.names import undated
from yofo_mlx.system import paths
from yofo_mlx.system.files import write_text

from ..shared.recipes import find_recipes
from .new_keys import TASK, USUAL, all_keys, as_text, as_value, facts_of, matching, plain


@dataclass
class Draft:
    """A recipe with changes by dotted key; a change to None leaves the key out."""

    recipe: Path
    base: Composed  # what the recipe says, with all that it includes
    name: str = ""  # of the run
    changes: dict[str, Any] = field(default_factory=dict)
    tasks: list[dict[str, Any]] | None = None  # in place of the recipe's, once they are changed

    @property
    def is_changed(self) -> bool:
        """Tell whether it says anything but the recipe."""
        return bool(self.changes) or self.tasks is not None

    @property
    def sources(self) -> list[dict[str, Any]]:
        """Return the tables of the data sets."""
        found = self.base.data.get("tasks") if self.tasks is None else self.tasks
        return [one for one in found or [] if isinstance(one, dict)]

    def data(self) -> dict[str, Any]:
        """Return what recipe and changes say together."""
        return changed(self.base.data, self.changes, self.tasks)

    def value(self, key: str) -> Any:
        """Return what a key is, None where nothing is said of it."""
        return look_up(self.data(), key)

    def text(self, key: str) -> str:
        """Return what a key is, or by default would be, as it stands in a field."""
        return text_in(self.data(), key)

    def before(self, key: str) -> Any:
        """Return what the recipe alone says of a key, or else what it is by default."""
        said = look_up(self.base.data, key)
        default = facts_of(key).default
        return as_value(key, default) if said is None and default else said

    def is_other(self, key: str) -> bool:
        """Tell whether a key was changed."""
        if key.startswith(TASK):
            return self.tasks is not None and self.value(key) != look_up(self.base.data, key)
        return key in self.changes

    def put(self, key: str, text: str) -> None:
        """Set a key as it was typed; what the recipe says anyhow is no change."""
        value = as_value(key, text)
        if key.startswith(TASK):
            self._put_in_task(key, value)
        elif value == (look_up(self.base.data, key) if value is None else self.before(key)):
            self.changes.pop(key, None)
        else:
            self.changes[key] = value

    def _put_in_task(self, key: str, value: Any) -> None:
        _, number, name = key.split(".", 2)
        tables = self._own_tasks()
        if value is None:
            tables[int(number)].pop(name, None)
        else:
            tables[int(number)][name] = value

    def _own_tasks(self) -> list[dict[str, Any]]:
        if self.tasks is None:
            self.tasks = deepcopy(self.sources)
        return self.tasks

    def reset(self, key: str) -> None:
        """Take a change back."""
        if key.startswith(TASK):
            if self.tasks is not None:
                self._put_in_task(key, look_up(self.base.data, key))
            if self.tasks == self.base.data.get("tasks"):
                self.tasks = None
        self.changes.pop(key, None)

    def add(self, source: dict[str, Any]) -> None:
        """Add a data set, unless it is there."""
        table = beside(self.recipe.parent, source)
        if table not in self.sources:
            self._own_tasks().append(table)

    def drop(self, number: int) -> None:
        """Take a data set out."""
        del self._own_tasks()[number]

    def mistakes(self) -> dict[str, str]:
        """Return what is wrong, by key or by section."""
        found: dict[str, str] = {}
        for location, words in mistakes(self.data()):
            depth = 3 if location[:1] == ("tasks",) else 2
            found.setdefault(".".join(map(str, location[:depth])), words)
        return found

    def whole(self) -> dict[str, Any]:
        """Return it as something that lies anywhere: paths from where they were said."""
        data = self.data()

        def find(name: Any, *key: str | int) -> Any:
            place: Place | None = self.base.origins.get(key[:1], self.recipe)
            start = place.parent if isinstance(place, Path) else self.recipe.parent
            return absolute(name, [start, Path.cwd()]) if isinstance(name, str) else name

        for number, table in enumerate(data.get("tasks", [])):
            if isinstance(table, dict) and "source" in table:
                table["source"] = find(table["source"], "tasks", number)
        for key in ("model", "init_adapter"):
            if key in data:
                data[key] = find(data[key], key)
        whole: dict[str, Any] = json.loads(json.dumps(data, default=str))  # days are text
        return whole

    def added(self) -> list[dict[str, Any]]:
        """Return the data sets that the recipe does not name, as they lie anywhere."""
        known = [one.get("source") for one in self.base.data.get("tasks") or []]
        pairs = zip(self.sources, self.whole()["tasks"], strict=True) if self.tasks else ()
        return [whole for one, whole in pairs if one.get("source") not in known]

    def shown_keys(self, words: Iterable[str]) -> list[str]:
        """Return the keys to show: those that say something, or hold all of some words."""
        if wanted := [word.lower() for word in words]:
            return list(matching(wanted, len(self.sources)))
        data = self.data()
        said = {key for key in all_keys() if _says(data, key)}
        return [key for key in all_keys() if key in said or key in USUAL or key in self.changes]


def changed(
    base: dict[str, Any], changes: dict[str, Any], tasks: list[dict[str, Any]] | None
) -> dict[str, Any]:
    """Return parsed TOML with changes by dotted key, and with other data sets if there are any."""
    data = deepcopy(base)
    if changes.get("model", data.get("model")) != data.get("model"):
        for key in OF_THE_MODEL:
            data.pop(key, None)
    for key, value in changes.items():
        *sections, last = key.split(".")
        table = data
        for section in sections:
            inner = table.setdefault(section, {})
            if not isinstance(inner, dict):  # a recipe that is wrong there
                inner = table[section] = {}
            table = inner
        if value is None:
            table.pop(last, None)
            continue
        table[last] = value
        for other in INSTEAD.get(key, ()):
            if f"{sections[0]}.{other}" not in changes:
                table.pop(other, None)
    if tasks is not None:
        data["tasks"] = deepcopy(tasks)
    return data


def look_up(data: Any, key: str) -> Any:
    """Return what parsed TOML says of a dotted key, None where it says nothing."""
    for part in key.split("."):
        if isinstance(data, list):
            data = data[int(part)] if part.isdecimal() and int(part) < len(data) else None
        else:
            data = data.get(part) if isinstance(data, dict) else None
    return data


def text_in(data: dict[str, Any], key: str) -> str:
    """Return what a key is in parsed TOML, or by default would be, as it stands in a field."""
    value = look_up(data, key)
    return facts_of(key).usual if value is None else as_text(value)


def _says(data: dict[str, Any], key: str) -> bool:
    """Tell whether data say of a key what it would not be without them."""
    if key.startswith(TASK) or key in ("description", "tasks"):
        return False
    value = look_up(data, key)
    return value is not None and as_text(value) != as_text(as_value(key, facts_of(key).default))


def begin(recipe: Path | None, overrides: dict[str, Any], sources: list[dict[str, Any]]) -> Draft:
    """Return the draft of a recipe, or of the first there is, with changes and other data sets.

    YofoError if it cannot be read.
    """
    found = recipe or next(iter(find_recipes()), None)
    if found is None:
        hint = "`yofo recipes copy <name>` puts one into this folder"
        raise RecipeError("there are no recipes here", hint)
    draft = Draft(found, compose([found]), name_of(found), dict(overrides))
    if sources:
        draft.tasks = [beside(found.parent, one) for one in sources]
    return draft


def beside(folder: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Return a data set named as a person would in a recipe there: by its place from there."""
    path = Path(str(table.get("source", "")))
    if not path.is_relative_to(folder.absolute()):
        return dict(table)
    return table | {"source": str(path.relative_to(folder.absolute()))}


def name_of(recipe: Path) -> str:
    """Return what a run of a recipe is called."""
    own = recipe.parent.parent == paths.runs()
    return undated(recipe.parent.name) if own else recipe.stem


# ---------------------------------------------------------------------- kept until it is started


def kept_path() -> Path:
    """Return the file of the draft that is kept."""
    return paths.home() / "new-run.json"


def keep(draft: Draft) -> None:
    """Keep a draft; one that says nothing but its recipe is not worth it."""
    if not draft.is_changed:
        forget()
        return
    facts = {
        "recipe": str(draft.recipe),
        "name": draft.name,
        "changes": draft.changes,
        "tasks": draft.tasks,
    }
    kept_path().parent.mkdir(parents=True, exist_ok=True)
    write_text(kept_path(), json.dumps(facts, default=str))


def kept() -> Draft | None:
    """Return the draft that was kept; None if there is none, or its recipe is gone."""
    try:
        facts = json.loads(kept_path().read_text(encoding="utf-8"))
        draft = begin(Path(facts["recipe"]), facts["changes"], facts["tasks"] or [])
        draft.name = str(facts["name"])
    except (OSError, ValueError, TypeError, KeyError, YofoError):
        return None
    known = all_keys()
    draft.changes = {key: one for key, one in draft.changes.items() if plain(key) in known}
    return draft


def forget() -> None:
    """Keep no draft any more."""
    kept_path().unlink(missing_ok=True)
