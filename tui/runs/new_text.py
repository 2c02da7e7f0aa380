"""The recipe that a draft makes, as a person would have written it: its own text, edited."""

import os
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from yofo_mlx.recipe.compose import standalone
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.recipe.names import found_at
from yofo_mlx.system import paths, toml
from yofo_mlx.system.text import escaped

from .new_draft import Draft, beside, changed
from .new_keys import all_keys, as_text

_HEADER = re.compile(r"^\[{1,2}\s*[\w.\-]+\s*\]{1,2}\s*(#.*)?$")


def text_of(draft: Draft, folder: Path) -> str:
    """Return the text of a draft's recipe for a file in `folder`: comments kept, little else said.

    A run's own recipe, which spells all defaults out, is first brought down to what differs.
    """
    own = own_text(draft)
    wanted = changed(tomllib.loads(own), draft.changes, None)
    if draft.tasks is not None:
        wanted["tasks"] = deepcopy(draft.tasks)
        own = without_tasks(own, draft.tasks)
    move(wanted, draft.recipe.parent, folder)
    if draft.recipe.parent != folder:  # else it says what its user made of it
        for table in wanted.get("tasks", []):
            if isinstance(table, dict):
                table.update(beside(folder, table))
    return escaped(edited(own, wanted), keep="\n\t")


def own_text(draft: Draft) -> str:
    """Return the text that editing begins with."""
    path = draft.recipe
    if path.parent.parent == paths.runs():
        return tomlkit.dumps(_differing(draft.base.data))
    text = path.read_text(encoding="utf-8-sig")
    if path not in shipped_recipes() or "include" not in tomllib.loads(text):
        return text
    whole = standalone(path)
    if draft.tasks is None or _has_one_of(whole, draft.tasks):
        return whole
    return re.sub(r"^include = .*\n", "", text, flags=re.MULTILINE)


def _has_one_of(text: str, tasks: list[dict[str, Any]]) -> bool:
    known = [_identity(one) for one in tasks]
    return any(_identity(one) in known for one in tomllib.loads(text).get("tasks", []))


def _differing(data: dict[str, Any]) -> dict[str, Any]:
    """Return what data say otherwise than by default, sections that are then empty left out."""
    kept: dict[str, Any] = {}
    for key, value in data.items():
        if key == "tasks":
            kept[key] = [_unusual("tasks", one) for one in value]
        elif isinstance(value, dict):
            if inner := _unusual(key, value):
                kept[key] = inner
        elif as_text(value) != all_keys()[key].usual:
            kept[key] = value
    return kept


def _unusual(section: str, table: dict[str, Any]) -> dict[str, Any]:
    """Return what a table says otherwise than by default."""
    usual = {key: facts.usual for key, facts in all_keys().items()}
    return {k: v for k, v in table.items() if as_text(v) != usual.get(f"{section}.{k}")}


def move(data: dict[str, Any], start: Path, folder: Path) -> None:
    """Let relative paths, written for files in `start`, be right in `folder`."""
    if start.absolute() == folder.absolute():
        return

    def there(name: Any) -> Any:
        if not isinstance(name, str) or Path(name).expanduser().is_absolute():
            return name
        found = found_at(name, start)
        return name if found is None else os.path.relpath(found, folder)

    for table in data.get("tasks", []):
        if isinstance(table, dict) and "source" in table:
            table["source"] = there(table["source"])
    for key in ("model", "init_adapter"):
        if key in data and data[key] != "tiny":
            data[key] = there(data[key])
    given = data.get("include")
    if given is not None:
        data["include"] = there(given) if isinstance(given, str) else [there(one) for one in given]


def without_tasks(text: str, kept: list[dict[str, Any]]) -> str:
    """Return TOML without the `[[tasks]]` that are not kept, nor what is said right above them."""
    known = [_identity(one) for one in kept]
    parts: list[str] = []
    dropping = False
    for part in _parts(text):
        head = next((line for line in part.split("\n") if _HEADER.match(line)), "")
        if head.startswith("[[tasks]]"):
            said = _parsed(part)
            dropping = said is not None and _identity(said["tasks"][0]) not in known
        elif not head.startswith("[tasks."):
            dropping = False
        if not dropping:
            parts.append(part)
    return "\n".join(parts)


def _parts(text: str) -> Iterator[str]:
    """Yield a text table by table, each with the remarks right above it."""
    lines = text.split("\n")
    start = 0
    for place, line in enumerate(lines):
        if _HEADER.match(line):
            above = place
            while above > start and lines[above - 1].startswith("#"):
                above -= 1
            if above > start:
                yield "\n".join(lines[start:above])
            start = above
    yield "\n".join(lines[start:])


def edited(text: str, wanted: dict[str, Any]) -> str:
    """Return TOML that says what is wanted, with as much of a text kept as can be."""
    document = tomlkit.parse(text)
    new = list(_sync(document, wanted, ""))
    result = tomlkit.dumps(document)
    for section, key, value in new:
        result = _insert(result, section, toml.pairs({key: value}))
    result = re.sub(r"^([^#\n].*)\n(\[\[tasks\]\])", r"\1\n\n\2", result, flags=re.MULTILINE)
    if _parsed(result) == wanted:
        return result.rstrip("\n") + "\n"
    return tomlkit.dumps(wanted)  # of a text that is too odd to be edited


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except ValueError:
        return None


def _sync(table: Any, wanted: dict[str, Any], name: str) -> Iterator[tuple[str, str, Any]]:
    """Change and remove what a table says; yield section, key and value of what is new."""
    for key in [one for one in table if one not in wanted]:
        del table[key]
    for key, value in wanted.items():
        if isinstance(value, dict) and key in table and hasattr(table[key], "items"):
            yield from _sync(table[key], value, f"{name}.{key}".lstrip("."))
        elif isinstance(table.get(key), AoT):
            yield from _sync_tasks(table[key], value)
        elif key not in table:
            if isinstance(value, dict) and not name:  # a new section
                yield from ((key, inner, one) for inner, one in value.items())
            elif key == "tasks":
                table.add(key, _tables(value))
            else:
                yield name, key, value
        elif table[key] != value:
            table[key] = value


def _sync_tasks(tables: AoT, wanted: list[dict[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Change, remove and add `[[tasks]]`, as above; one that stays has its source and name."""
    known = [_identity(one) for one in wanted]
    for place in reversed(range(len(tables))):
        if _identity(tables[place]) not in known:
            del tables[place]
    for place, table in enumerate(wanted):
        if place < len(tables):
            yield from _sync(tables[place], table, f"tasks.{place}")
        else:
            tables.append(_table(table))


def _identity(table: Any) -> tuple[object, object]:
    return table.get("source"), table.get("name")


def _tables(wanted: list[dict[str, Any]]) -> AoT:
    tables = tomlkit.aot()
    for one in wanted:
        tables.append(_table(one))
    return tables


def _table(wanted: dict[str, Any]) -> Table:
    table = tomlkit.table()
    for key, value in wanted.items():
        table.append(key, value)
    return table


def _insert(text: str, section: str, line: str) -> str:
    """Put a line at the end of its section, a new section before the data sets."""
    lines = text.split("\n")
    heads = [place for place, one in enumerate(lines) if _HEADER.match(one)]
    first = heads[0] if heads else len(lines)
    mine = _head_of(section, lines, heads)
    if not section:
        return _after(lines, -1, first, [line])
    if mine is not None:
        end = next((at for at in heads if at > mine), len(lines))
        return _after(lines, mine, end, [line])
    tasks = next((at for at in heads if lines[at].startswith("[[")), len(lines))
    while tasks and (lines[tasks - 1].startswith("#") or not lines[tasks - 1].strip()):
        tasks -= 1
    return _after(lines, -1, tasks, ["", f"[{section}]", line])


def _head_of(section: str, lines: list[str], heads: list[int]) -> int | None:
    """Return the line that opens a section; `tasks.1` is the second data set."""
    if section.startswith("tasks."):
        tables = [at for at in heads if lines[at].startswith("[[tasks]]")]
        return tables[int(section.split(".")[1])]
    return next((at for at in heads if re.match(rf"\[\s*{section}\s*\]", lines[at])), None)


def _after(lines: list[str], start: int, end: int, new: list[str]) -> str:
    """Put lines behind the last one between two places that says anything."""
    at = end
    while at > start + 1 and (not lines[at - 1].strip() or lines[at - 1].startswith("#")):
        at -= 1
    return "\n".join([*lines[:at], *new, *lines[at:]])
