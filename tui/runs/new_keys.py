"""The keys of a recipe as the form of a new run shows them: what each takes, values as text."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from yofo_mlx.recipe.file import value_of
from yofo_mlx.recipe.reference import walk
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system import toml

TASK = "tasks."
# What is looked at first, whether or not a recipe says it.
USUAL = (
    "model",
    "train.steps",
    "train.tokens",
    "train.batch_size",
    "train.eval_every",
    "episodes.max_tokens",
    "episodes.min_shots",
    "episodes.max_shots",
    "objective.targets",
    "optimizer.learning_rate",
    "optimizer.schedule",
    "lora.rank",
    "lora.scale",
)
SECTIONS = ("model", "train", "episodes", "objective", "optimizer", "lora", "memory", "evaluation")


@dataclass(frozen=True)
class KeyFacts:
    """A key of a recipe: what it takes, what it is without a word, and what it means."""

    key: str  # without the number of a task
    kind: str
    choices: tuple[str, ...]
    default: str
    help: str

    @property
    def usual(self) -> str:
        """Return the default as it stands in a field."""
        return self.default.strip('"') if self.choices or self.kind == "text" else self.default

    @property
    def takes(self) -> str:
        """Say what it takes."""
        return " · ".join(self.choices) or self.kind


@cache
def all_keys() -> dict[str, KeyFacts]:
    """Return the keys of a recipe, those that are looked at first before the others."""
    rows = [row for row in walk(Recipe) if row["type"] != "table"]
    facts = [
        KeyFacts(row["key"], row["type"], _choices(row["type"]), row["default"], row["help"])
        for row in rows
    ]
    return {one.key: one for one in sorted(facts, key=_place)}


def _choices(kind: str) -> tuple[str, ...]:
    if kind == "true or false":
        return ("true", "false")
    return tuple(kind.split(" | ")) if " | " in kind else ()


def _place(one: KeyFacts) -> int:
    section = one.key.split(".")[0]
    return SECTIONS.index(section) if section in SECTIONS else len(SECTIONS)


def facts_of(key: str) -> KeyFacts:
    """Return what is known of a key, such as `train.steps` or `tasks.0.role`."""
    return all_keys()[plain(key)]


def plain(key: str) -> str:
    """Return a key without the number of a task."""
    return ".".join(part for part in key.split(".") if not part.isdecimal())


def matching(words: list[str], tasks: int) -> Iterator[str]:
    """Yield the keys whose name or help holds all of some words, those of each task by number."""
    for key, facts in all_keys().items():
        is_task = key.startswith(TASK)
        names = [f"{TASK}{n}.{key[len(TASK) :]}" for n in range(tasks)] if is_task else [key]
        for name in names:
            text = name if is_task else f"{name} {facts.help}".lower()
            if all(word in text for word in words):
                yield name


def as_text(value: Any) -> str:
    """Return a value as it is written in a field; text without its quotation marks."""
    if value is None:
        return ""
    written = toml.pairs({"value": value}).removeprefix("value = ")
    return written[1:-1].replace('\\"', '"') if isinstance(value, str) else written


def as_value(key: str, text: str) -> Any:
    """Return the value that a field means; None leaves the key out."""
    facts = facts_of(key)
    if not text.strip():
        return None
    if facts.kind != "text" and not facts.choices:
        return value_of(text)
    if facts.choices == ("true", "false"):
        return value_of(text.strip())
    if facts.choices:
        return text.strip()
    quoted = text if _is_quoted(text) else '"' + text.replace('\\"', '"').replace('"', '\\"') + '"'
    try:
        return tomllib.loads(f"value = {quoted}")["value"]
    except ValueError:  # a backslash that is no escape
        return text


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == '"'
