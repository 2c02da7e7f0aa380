"""Which columns of a row become the input and the answer."""

import json
import math
import re
from dataclasses import dataclass, field, replace
from datetime import date, time
from decimal import Decimal
from itertools import chain
from typing import Any

from yofo_mlx.recipe.family import Family
from yofo_mlx.system.text import reason
from yofo_mlx.tasks.beliefs import read_doubt, read_teacher
from yofo_mlx.tasks.chats import chat_of, conversation, earlier_turns, last_question, turns_in
from yofo_mlx.tasks.fields import Missing, is_blank, look_up, name_in
from yofo_mlx.tasks.problems import Place, RowError
from yofo_mlx.tasks.reading.parquet import ClassNames
from yofo_mlx.tasks.reading.rows import Row, kind
from yofo_mlx.tasks.row_forms import (
    HISTORY,
    SYSTEM,
    RowForm,
    check_weight,
    form_of,
    join_texts,
    system_in,
    unused_fields,
)
from yofo_mlx.tasks.spelling import label_key, list_in_text, spelled, text_key, unify_lines
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
    """The single labels of a list-valued answer, or all forms of one answer, that of the example
    first; else the answer itself."""
    is_list: bool = False
    """The answers are labels."""
    system: str = ""
    unused: tuple[str, ...] = ()
    """What of the row has no part in the example, where nobody chose so."""

    @property
    def references(self) -> tuple[str, ...]:
        """The answers that are as right as the example's own."""
        return () if self.is_list else self.answers[1:]


@dataclass(frozen=True)
class Columns:
    """A column name, a dotted path or a template for each side of an example."""

    input: str
    output: str
    separator: str = ", "
    labels: tuple[str, ...] = ()
    class_names: ClassNames = field(default_factory=dict)
    family: Family | None = None
    """The recipe's: it says what lists and objects among the answers are."""
    has_references: bool = False
    """A list holds forms of one answer; else it holds labels."""
    chat: tuple[str, ...] = ()
    """Fields that hold a conversation, in place of `input` and `output`."""
    shape: RowForm | None = None
    """The known form that both columns were taken from."""
    rejected: str | None = None
    """A column or template of answers that are not to be given; rows may lack it."""
    teacher: str | None = None
    """A column of what is to be expected at each token of the answers."""
    doubt: str | None = None
    """A column of numbers that say how unsure a model is of the answers."""

    @property
    def names_output(self) -> bool:
        """Whether the answer is one column, and `output` its name."""
        return not (self.chat or _is_template(self.output))

    def item(self, row: Row) -> Item:
        """Return the example a row holds, or raise RowError."""
        try:
            item = self._chat(row) if self.chat else self._pair(row)
        except Missing as error:
            raise self._missing(row.fields) or error from None
        self._check_labels(item.answers)
        return self._with_more(item, row.fields) if self._more else item

    def question(self, row: Row) -> tuple[str, str]:
        """Return the system text and the input of a row, which may lack an answer; or RowError."""
        if not self.chat:
            system, text = self._asked(row.fields)
            return system, _checked(text, self.input)
        try:
            item = self.item(row)
            return item.system, item.example.input
        except RowError:
            system, text = last_question(self._turns(row.fields))
            return join_texts(system_in(row.fields), system), _checked(text, self.input)

    def _turns(self, fields: dict[str, Any]) -> list[Any] | None:
        """Return the turns of a row's conversation, None where a part of it is none."""
        parts = [turns_in(fields.get(name)) for name in self.chat]
        lists = [part for part in parts if part is not None]
        return list(chain(*lists)) if len(lists) == len(parts) else None

    def _chat(self, row: Row) -> Item:
        check_weight(row.fields)
        dialogue = conversation(self._turns(row.fields))
        example = Example(
            _checked(dialogue.input, self.input), _checked(dialogue.answer, self.output)
        )
        unused = unused_fields(row.fields, {*self.chat, *SYSTEM})
        system = join_texts(system_in(row.fields), dialogue.system)
        return Item(example, row.place, (example.output,), False, system, unused + dialogue.unused)

    def _pair(self, row: Row) -> Item:
        system, question = self._asked(row.fields)
        values, is_list = self._answers(row.fields)
        if is_list and self.has_references:
            forms = dict.fromkeys(_checked(value, self.output) for value in values or [""])
            values, is_list = list(forms), False
        answer = _checked(self.separator.join(values if is_list else values[:1]), self.output)
        unused = unused_fields(row.fields, self.shape.used) if self.shape else ()
        if self.shape and self.shape.instructs:
            check_weight(row.fields)
        example = Example(_checked(question, self.input), answer)
        answers = tuple(values) if is_list else (answer, *values[1:])
        return Item(example, row.place, answers, is_list, system, unused)

    def _asked(self, fields: dict[str, Any]) -> tuple[str, str]:
        """Return the system text and the question of a row, with the turns before it."""
        question = self._fill(self.input, fields)
        if not (self.shape and self.shape.instructs):
            return "", question
        earlier = earlier_turns(fields.get(HISTORY) or [])
        return system_in(fields), f"{earlier}User: {question.strip()}" if earlier else question

    @property
    def _more(self) -> tuple[str | None, ...]:
        given = (self.rejected, self.doubt, self.teacher)
        return given if any(given) else ()

    def _with_more(self, item: Item, fields: dict[str, Any]) -> Item:
        """Return an item that knows what is not to be answered, and what is doubted."""
        rejected = unify_lines(self._filled_if_there(self.rejected, fields)).strip()
        if rejected == item.example.output:
            hint = "an answer cannot be wanted and not wanted: mend the row"
            raise RowError(f"`{self.rejected}` is the answer itself", hint)
        doubt = read_doubt(fields, self.doubt) if self.doubt else 0.0
        teacher = read_teacher(fields, self.teacher) if self.teacher else None
        used = {f"`{name}`" for name in self._more}
        example = replace(item.example, rejected=rejected, doubt=doubt, teacher=teacher)
        unused = tuple(name for name in item.unused if name not in used)
        return replace(item, example=example, unused=unused)

    def _filled_if_there(self, template: str | None, fields: dict[str, Any]) -> str:
        """Return the text of a column, or of a template; nothing where a column is blank."""
        if template is None:
            return ""
        is_optional = not _is_template(template) and name_in(fields, template) is not None
        return self._optional(template, fields) if is_optional else self._fill(template, fields)

    def _missing(self, fields: dict[str, Any]) -> Missing | None:
        """Return all columns that are not there in one error, where they are plain names."""
        names = [name for name in (*_names(self.input), *_names(self.output)) if "." not in name]
        wrong = [name for name in dict.fromkeys(names) if name_in(fields, name) is None]
        wrong = [name for name in wrong if not name.endswith("?")]
        return Missing(wrong, list(fields)) if wrong else None

    def _check_labels(self, answers: tuple[str, ...]) -> None:
        wrong = next((answer for answer in answers if answer not in self.labels), None)
        if not self.labels or wrong is None:
            return
        alike = next((name for name in self.labels if label_key(name) == label_key(wrong)), None)
        known = ", ".join(self.labels[:12]) + (", ..." if len(self.labels) > 12 else "")
        hint = f"labels: {known}"
        if alike is not None:
            hint = f"it is spelled {spelled(alike, wrong)} there"
        message = f"answer {spelled(wrong, alike or '')} is not one of `labels`"
        raise RowError(message, hint)

    def _answers(self, fields: dict[str, Any]) -> tuple[list[str], bool]:
        if _is_template(self.output):
            return [self._fill(self.output, fields)], False
        value = look_up(fields, self.output)
        if self._is_json(value):
            return [_json(value, self.output)], False
        if self.family == "multilabel" and isinstance(value, str):
            entries = list_in_text(value.strip())
            value = value if entries is None else entries
        names = names_of_numbers(self.labels) if self.labels else self._classes(self.output)
        several = value if isinstance(value, list) else [value]
        labels = [unify_lines(_label(one, self.output, names)).strip() for one in several]
        if "" in labels and len(labels) > 1:
            what = "answer" if self.has_references else "label"
            raise RowError(f"`{self.output}` holds an empty {what}")
        return labels, isinstance(value, list)

    def _is_json(self, value: Any) -> bool:
        """Tell whether an answer is to be the JSON text of a value."""
        if self.family == "extraction":
            return isinstance(value, dict | list)
        entries = value if isinstance(value, list) else [value]
        objects = bool(entries) and all(isinstance(entry, dict) for entry in entries)
        return self.family is None and not self.labels and objects

    def _classes(self, column: str) -> tuple[str, ...]:
        if not self.class_names:
            return ()
        return self.class_names.get(name_in(self.class_names, column) or column, ())

    def _fill(self, template: str, fields: dict[str, Any]) -> str:
        if not _is_template(template):
            return self._text(template, fields, numbers=False)
        if not _names(template):
            hint = "a column stands in braces, as in `{text}`; `{{` is a brace of the text's own"
            raise RowError(f"the template {template!r} names no column", hint)

        def replace(found: re.Match[str]) -> str:
            name = found[1]
            if not name:
                return found[0][0]
            if name.endswith("?") and name_in(fields, name) is None:
                return self._optional(name[:-1], fields)
            return self._text(name, fields, numbers=True)

        return _PLACEHOLDER.sub(replace, template)

    def _optional(self, name: str, fields: dict[str, Any]) -> str:
        """Return the text of a field that rows may lack; nothing where it is missing or null."""
        there = name_in(fields, name.split(".")[0])
        if there is None or is_blank(fields[there]):
            return ""
        return self._text(name, fields, numbers=True)

    def _text(self, name: str, fields: dict[str, Any], numbers: bool) -> str:
        value = look_up(fields, name)
        names = self._classes(name)
        if isinstance(value, list):
            return self.separator.join(_label(one, name, names) for one in value)
        if isinstance(value, str):
            return value
        if not numbers:
            hint = f'a number can be put into a template: input = "{{{name}}}"'
            if isinstance(value, dict):
                hint = f"name what is in it, such as `{_way_to_text(name, value)}`"
            raise RowError(
                f"`{name}` is {kind(value)}, not text",
                hint if isinstance(value, int | float | dict) else "",
            )
        return _label(value, name, names)


def choose_columns(
    row: Row,
    input: str | None,
    output: str | None,
    separator: str = ", ",
    labels: tuple[str, ...] = (),
    class_names: ClassNames | None = None,
    family: Family | None = None,
) -> Columns:
    """Return the columns as given, those left out taken from the row's shape; or raise RowError."""
    known = None
    names = class_names or {}
    if not (input or output):
        if chat := chat_of(row.fields):
            field = " + ".join(chat)
            return Columns(f"{field}: user", f"{field}: assistant", labels=labels, chat=chat)
        known = form_of(row.fields)
    shape = known or form_of(row.fields)
    if shape:
        input, output = input or shape.input, output or shape.output
    if not input or not output:
        raise _no_shape(row.fields)
    among = shape is not None and shape.has_references and output == shape.output
    several = family == "qa" or (family is None and among)
    return Columns(input, output, separator, labels, names, family, several, shape=known)


def names_of_numbers(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels a column's numbers stand for; none where labels are such numbers."""
    own = any(
        name.isascii() and name.isdigit() and name != str(at) for at, name in enumerate(labels)
    )
    return () if own else labels


def _no_shape(fields: dict[str, Any]) -> RowError:
    if fields.keys() == {"text"}:
        return RowError(
            "rows hold only `text`: plain text has no answer to learn",
            "give rows with an input and an answer, such as `prompt` and `completion`",
        )
    names = [str(name) for name in fields]
    known = ", ".join(names) or "none"
    ways = [_way_to_text(name, fields[name]) for name in fields]
    first, last = (ways[0], ways[-1]) if len(ways) > 1 else ("question", "answer")
    hint = (
        f"say which they are, such as input = {json.dumps(first)} and output = {json.dumps(last)}"
    )
    return RowError(f"cannot tell input and answer from the fields: {known}", hint)


def _way_to_text(name: Any, value: Any) -> str:
    """Return the dotted path to the first text in a field, as a table names it."""
    while isinstance(value, dict) and value:
        inner, value = next(iter(value.items()))
        name = f"{name}.{inner}"
    return str(name)


def _is_template(text: str) -> bool:
    return "{" in text


def _names(text: str) -> list[str]:
    """Return the columns that a template, or a plain column name, speaks of."""
    return [name for name in _PLACEHOLDER.findall(text) if name] if _is_template(text) else [text]


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
    if isinstance(value, Decimal | date | time):
        return str(value)
    hint = ""
    if isinstance(value, dict) and value:
        hint = f"reach into it by a dotted path, such as `{name}.{next(iter(value))}`"
    raise RowError(f"`{name}` holds {'NaN' if value != value else kind(value)}, not text", hint)


def _json(value: Any, name: str) -> str:
    """Return compact JSON on one line; the order of the keys is the alphabet's, in every row."""
    try:
        return json.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            sort_keys=True,
            default=_plain,
        )
    except (TypeError, ValueError, RecursionError) as error:
        hint = "texts, numbers, true, false, null, lists and objects can"
        raise RowError(f"`{name}` holds what JSON cannot: {reason(error)}", hint) from None


def _plain(value: Any) -> str | float:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date | time):
        return str(value)
    raise TypeError(kind(value))


def _name_of(value: str, names: tuple[str, ...]) -> str:
    # A CSV file has no numbers: there, `3` in a column of class numbers is text.
    is_number = value.isascii() and value.isdigit() and len(value) < 9
    if names and value not in names and is_number and int(value) < len(names):
        return names[int(value)]
    return value


def _checked(text: str, name: str) -> str:
    stripped = unify_lines(text).strip()
    if not stripped or (not stripped.isascii() and not text_key(stripped)):
        raise RowError(f"{name!r} gives no text" if _is_template(name) else f"`{name}` is empty")
    if not stripped.isascii() and _SURROGATE.search(stripped):
        reason = f"`{name}` holds half of a character (a lone surrogate)"
        raise RowError(reason, "remove it, or write the file again")
    return stripped
