"""Which columns of a row become the input and the answer."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from yofo_mlx.tasks.parquet import ClassNames
from yofo_mlx.tasks.problems import Place, RowError
from yofo_mlx.tasks.rows import Row, kind
from yofo_mlx.tasks.shapes import chat_of, conversation, shape_of
from yofo_mlx.tasks.task import Example

# `{{` and `}}` stand for the braces themselves, as in Python's format strings.
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNLABELLED = -1


@dataclass(frozen=True, slots=True)
class Item:
    """An example with the place it comes from."""

    example: Example
    place: Place
    answers: tuple[str, ...]
    """The single labels of a list-valued answer, else the answer itself."""
    is_list: bool = False
    system: str = ""


@dataclass(frozen=True)
class Columns:
    """A column name, a dotted path or a template for each side of an example."""

    input: str
    output: str
    separator: str = ", "
    labels: tuple[str, ...] = ()
    class_names: ClassNames = field(default_factory=dict)
    chat: str = ""
    """Field that holds a conversation, in place of `input` and `output`."""

    def item(self, row: Row) -> Item:
        """Return the example a row holds, or raise RowError."""
        if self.chat:
            system, question, answer = conversation(row.fields.get(self.chat))
            values: list[str] = [answer]
            is_list = False
        else:
            system, question = "", self._fill(self.input, row.fields)
            values, is_list = self._answers(row.fields)
            answer = self.separator.join(values)
        example = Example(_checked(question, self.input), _checked(answer, self.output))
        answers = tuple(values) if is_list else (example.output,)
        return Item(example, row.place, answers, is_list, system.strip())

    def _answers(self, fields: dict[str, Any]) -> tuple[list[str], bool]:
        if _is_template(self.output):
            return [self._fill(self.output, fields)], False
        value = _look_up(fields, self.output)
        names = self.labels or self.class_names.get(self.output, ())
        several = value if isinstance(value, list) else [value]
        return [_label(one, self.output, names) for one in several], isinstance(value, list)

    def _fill(self, template: str, fields: dict[str, Any]) -> str:
        if not _is_template(template):
            return self._text(template, fields, numbers=False)

        def replace(found: re.Match[str]) -> str:
            name = found[1]
            return self._text(name, fields, numbers=True) if name else found[0][0]

        return _PLACEHOLDER.sub(replace, template)

    def _text(self, name: str, fields: dict[str, Any], numbers: bool) -> str:
        value = _look_up(fields, name)
        names = self.class_names.get(name, ())
        if isinstance(value, list):
            return self.separator.join(_label(one, name, names) for one in value)
        if isinstance(value, str):
            return value
        if not numbers:
            hint = f'a number can be put into a template: input = "{{{name}}}"'
            raise RowError(
                f"`{name}` is {kind(value)}, not text",
                hint if isinstance(value, int | float) else "",
            )
        return _label(value, name, names)


def choose_columns(
    row: Row,
    input: str | None,
    output: str | None,
    separator: str = ", ",
    labels: tuple[str, ...] = (),
    class_names: ClassNames | None = None,
) -> Columns:
    """Return the columns as given, those left out taken from the row's shape; or raise RowError."""
    names = class_names or {}
    chat = chat_of(row.fields)
    if chat and not (input or output):
        return Columns(f"{chat}: user", f"{chat}: assistant", chat=chat)
    shape = shape_of(row.fields)
    if shape:
        input, output = input or shape.input, output or shape.output
    if not input or not output:
        raise _no_shape(row.fields)
    return Columns(input, output, separator, labels, names)


def _no_shape(fields: dict[str, Any]) -> RowError:
    if fields.keys() == {"text"}:
        return RowError(
            "rows hold only `text`: plain text has no answer to learn",
            "give rows with an input and an answer, such as `prompt` and `completion`",
        )
    known = ", ".join(map(str, fields)) or "none"
    hint = 'say which they are, such as input = "question" and output = "answer"'
    return RowError(f"cannot tell input and answer from the fields: {known}", hint)


def _is_template(text: str) -> bool:
    return "{" in text


def _look_up(fields: Any, path: str) -> Any:
    """Return what lies at a dotted path; a list of objects is followed into each of them."""
    if isinstance(fields, dict) and path in fields:
        value = fields[path]
    else:
        value = _follow(fields, path.split("."), path)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise RowError(f"`{path}` is {'null' if value is None else 'NaN'}")
    return value


def _follow(value: Any, steps: list[str], path: str) -> Any:
    for index, step in enumerate(steps):
        if isinstance(value, dict):
            if step not in value:
                raise _missing(value, path)
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit():
            if int(step) >= len(value):
                raise RowError(f"`{path}`: the list has {len(value)} entries")
            value = value[int(step)]
        elif isinstance(value, list):
            return [_follow(entry, steps[index:], path) for entry in value]
        else:
            raise RowError(f"`{path}`: there is {kind(value)} where an object was expected")
    return value


def _missing(fields: dict[str, Any], path: str) -> RowError:
    known = ", ".join(f"`{name}`" for name in list(fields)[:12]) or "none"
    return RowError(f"no field `{path}`", f"fields there: {known}")


def _label(value: Any, name: str, names: tuple[str, ...]) -> str:
    """Return a label or another single value as text."""
    if isinstance(value, str):
        return _name_of(value, names)
    if isinstance(value, bool) and not names:
        return "true" if value else "false"
    if isinstance(value, int):
        if not names:
            return str(value)
        if value == _UNLABELLED:
            raise RowError(f"`{name}` is -1: the row has no label")
        if not 0 <= value < len(names):
            raise RowError(f"`{name}` is {value}, but there are {len(names)} labels")
        return names[value]
    if isinstance(value, float) and math.isfinite(value):
        return _label(int(value), name, names) if names and value.is_integer() else str(value)
    raise RowError(f"`{name}` holds {'NaN' if value != value else kind(value)}, not text")


def _name_of(value: str, names: tuple[str, ...]) -> str:
    # A CSV file has no numbers: there, `3` in a column of class numbers is text.
    is_number = value.isascii() and value.isdigit() and len(value) < 9
    if names and value not in names and is_number and int(value) < len(names):
        return names[int(value)]
    return value


def _checked(text: str, name: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise RowError(f"{name!r} gives no text" if _is_template(name) else f"`{name}` is empty")
    if not stripped.isascii() and _SURROGATE.search(stripped):
        reason = f"`{name}` holds half of a character (a lone surrogate)"
        raise RowError(reason, "remove it, or write the file again")
    return stripped
