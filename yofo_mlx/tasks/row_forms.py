"""Row shapes in common use, and the columns they stand for."""

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from yofo_mlx.tasks.fields import is_blank, name_in, number_in
from yofo_mlx.tasks.problems import RowError
from yofo_mlx.tasks.reading.rows import Row
from yofo_mlx.tasks.spelling import name_key, unify_lines

SYSTEM = ("system", "system_prompt")
WEIGHT = "weight"
HISTORY = "history"

# A number, a key, the index that pandas writes: they name a row and say nothing in it.
_ROW_NAME = re.compile(r"(.*[_ ])?(id|idx|index|uid|uuid|guid)|unnamed: \d+|__.*__|")
_FIELD = re.compile(r"\{([^{}]+?)\??\}")


@dataclass(frozen=True)
class RowForm:
    """Fields that give a shape away, and what becomes input and answer."""

    fields: frozenset[str]
    input: str
    output: str
    instructs: bool = False
    """Its own tools read a system text and earlier turns in such rows."""
    has_references: bool = False
    """Its answers are lists of what is right alike."""

    @cached_property
    def used(self) -> frozenset[str]:
        """Fields that have a part in the example."""
        templates = (self.input, self.output)
        paths = [path for text in templates for path in _FIELD.findall(text) or [text]]
        more = {*SYSTEM, HISTORY} if self.instructs else set()
        return self.fields | {path.split(".")[0] for path in paths} | more


def unused_fields(fields: dict[str, Any], used: Set[str]) -> tuple[str, ...]:
    """Return fields that are not among the used ones, hold something, and name more than a row."""
    return _quoted(
        tuple(
            name
            for name, value in fields.items()
            if (key := name_key(name)) not in used
            and not _ROW_NAME.fullmatch(key)
            and not is_blank(value)
            and not (key == WEIGHT and number_in(value) == 1)  # as every row has without it
        )
    )


@lru_cache(maxsize=256)  # most rows have the same ones: one tuple for all of them
def _quoted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"`{name}`" for name in names)


def _shape(fields: str, input: str, output: str, **more: bool) -> RowForm:
    return RowForm(frozenset(fields.split()), input, output, **more)


# From particular to general: the first one whose fields are all there is taken. `?` marks a field
# that rows may lack.
SHAPES = (
    _shape("prompt completion", "prompt", "completion", instructs=True),
    _shape("instruction output", "{instruction}\n\n{input?}", "output", instructs=True),
    _shape("instruction response", "{context?}\n\n{instruction}", "response", instructs=True),
    _shape(
        "context question answers",
        "{context}\n\nQuestion: {question}",
        "answers.text",
        has_references=True,
    ),
    _shape("premise hypothesis label", "Premise: {premise}\nHypothesis: {hypothesis}", "label"),
    _shape("sentence1 sentence2 label", "{sentence1}\n{sentence2}", "label"),
    _shape("input_1 input_2 output", "{input_1}\n{input_2}", "output"),
    _shape("input output", "input", "output", instructs=True),
    _shape("input target", "input", "target"),
    _shape("inputs targets", "inputs", "targets"),
    _shape("question answer", "{context?}\n\n{question}", "answer", instructs=True),
    _shape("question response", "{context?}\n\n{question}", "response", instructs=True),
    _shape("query answer", "{context?}\n\n{query}", "answer", instructs=True),
    _shape("query response", "{context?}\n\n{query}", "response", instructs=True),
    _shape("article highlights", "article", "highlights"),
    _shape("document summary", "document", "summary"),
    _shape("dialogue summary", "dialogue", "summary"),
    _shape("text summary", "text", "summary"),
    _shape("text label label_text", "text", "label_text"),
    _shape("text label_text", "text", "label_text"),
    _shape("text label", "text", "label"),
    _shape("text labels", "text", "labels"),
    _shape("text category", "text", "category"),
    _shape("text intent", "text", "intent"),
    _shape("sentence label", "sentence", "label"),
    _shape("0 1", "0", "1"),
)


COLUMN_NAMES = frozenset(name for shape in SHAPES for name in shape.fields if not name.isdigit())


def is_header(row: Row) -> bool:
    """Tell whether a row that is a list holds the names of a known form's columns."""
    names = list(row.fields.values())
    is_list = "0" in row.fields and all(isinstance(name, str) for name in names)
    found = form_of(dict.fromkeys(names)) if is_list and len(set(names)) == len(names) else None
    return found is not None and "0" not in found.fields


def form_of(fields: dict[str, Any]) -> RowForm | None:
    """Return the shape of a row; None if it is not a known one."""

    def has(name: str) -> bool:
        return name in fields or name_in(fields, name) is not None

    return next((shape for shape in SHAPES if all(map(has, shape.fields))), None)


def system_in(fields: dict[str, Any]) -> str:
    """Return the system text that a row keeps in a field of its own."""
    found = (name_in(fields, name) for name in SYSTEM)
    texts = [fields[name] for name in found if name is not None]
    return join_texts(*(text for text in texts if isinstance(text, str)))


def check_weight(fields: dict[str, Any]) -> None:
    """Refuse a row whose own weight is zero."""
    name = name_in(fields, WEIGHT)
    if name is not None and number_in(fields[name]) == 0:
        hint = "the row is left out: there is nothing to learn from it"
        raise RowError("the `weight` of the row is zero", hint, "warning")


def join_texts(*texts: str) -> str:
    """Return texts as paragraphs, each once."""
    clean = (unify_lines(text).strip() for text in texts)
    return "\n\n".join(dict.fromkeys(text for text in clean if text))
