"""Every key of a recipe with its default and its meaning, from the fields themselves.

`python -m yofo_mlx.recipe.reference > docs/recipe.md` writes the page of the docs.
"""

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from yofo_mlx.recipe.schema import Composition, Recipe

_HEAD = """\
# Recipe reference

Generated from `yofo_mlx/recipe/`; `yofo recipes explain` prints the same text.
A key without a default is required or may be left out, as its text says. In a command,
`--set section.key=value` beats the file; `tasks.0.limit=100` reaches into a list.

## Recipes of several files

`yofo train base.toml mine.toml` reads files from left to right, as do `show`, `plan`, `doctor` and
`recipes check`; `data check` and `data preview` look at the data sets of each by itself. A later
file beats an earlier one, key by key: `[train]` in `mine.toml` changes only what it names. Lists
are replaced whole, `[[tasks]]` among them. Of `train.steps` and `train.tokens` the later one
counts, and so it is with `train.batch_tokens` or `episodes.fixed_shots` and the keys that they come
instead of; another `model` takes back the `revision` and `trust_remote_code` before it. `--set`
comes last.

With `include` a file names what it builds on, so that settings and data sets stand in one place:

```toml
include = ["mistral", "my-data.toml"]   # a shipped recipe, and a file beside this one
description = "Mistral on my own data"
train.steps = 300
```

What several of them include is read once, before the first of them. Paths in a file are relative to
that file. `recipes/data/public.toml` holds the data sets of the shipped recipes.

`yofo train mine.toml --dry-run` prints the recipe that the files make together; a run keeps just
that, and never reads them again.

## Updates of equal size, and fixed shots

With `train.batch_tokens = 1024` an update takes as many episodes as come nearest to 1,024 tokens,
one at least: a hundred without demonstrations, or one that is full of them. So recipes of few and
of many shots make equally many updates of the same tokens. With `draw = "uniform"` the share of
shots is drawn once for an update and all its episodes have it: their lengths are then alike, and
each share gets equally many tokens. Rows of like length are read together, so that at most a
quarter of what is read is padding (`yofo show` tells how much); of several rows, at most 4,096
tokens at a time. Loss and gradient are those of the same episodes one by one.

With `train.packed = true` beside it the episodes stand one behind the other in rows of at most
4,096 tokens, and there is no padding at all: positions begin anew with each, and none sees another
([long-context.md](long-context.md) has how, what it costs, and which models can). Which episodes
share a row follows from the seed and the update alone. It is off unless a recipe says so.

With `episodes.fixed_shots = 4` and `objective.targets = "last"` the same four demonstrations of a
task, chosen by the seed, stand before each of its other training examples throughout the run, and
only that example's answer is trained: FTICL (arXiv 2403.09162). Other targets are refused, since
the four answers, the same in every episode, would be learned by heart. A task with too few
examples, or in which half of the others would not fit behind four, has fewer fixed shots, which is
told.

## Top of the file
"""


def keys() -> list[dict[str, str]]:
    """Return key, type, default and help of everything that a recipe file may say."""
    return [*walk(Composition), *walk(Recipe)]


def walk(section: type[BaseModel], prefix: str = "") -> Iterator[dict[str, str]]:
    """Yield key, type, default and help of every field, nested tables included."""
    for name, field in section.model_fields.items():
        key = prefix + name
        if nested := _nested(field):
            yield {"key": key, "type": "table", "default": "", "help": nested.__doc__ or ""}
            yield from walk(nested, f"{key}.")
        else:
            yield {
                "key": key,
                "type": _type(field.annotation),
                "default": "" if field.is_required() else _toml(field.default),
                "help": field.description or "",
            }


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _type(annotation: Any) -> str:
    if values := [value for value in get_args(annotation) if isinstance(value, str)]:
        return " | ".join(values)
    names = {"int": "number", "float": "number", "bool": "true or false", "str": "text"}
    inner = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    if getattr(annotation, "__origin__", None) is tuple:
        return "list"
    if getattr(annotation, "__origin__", None) is dict and inner[0] is str:
        return "inline table"
    if inner:
        return _type(inner[0])
    return names.get(getattr(annotation, "__name__", ""), "table")


def _toml(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return json.dumps(list(default))
    return json.dumps(default)


def reference() -> str:
    """Return docs/recipe.md."""
    lines = [_HEAD]
    for row in keys():
        if row["type"] == "table":
            name = f"[[{row['key']}]]" if row["key"] == "tasks" else f"[{row['key']}]"
            lines += ["", f"## `{name}`", "", row["help"], ""]
        else:
            key = row["key"].rpartition(".")[2]
            default = f" = `{row['default']}`" if row["default"] else ""
            kind = f"`{row['type']}`" if "|" in row["type"] else row["type"]
            lines.append(f"- **{key}**{default} ({kind}): {row['help']}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
