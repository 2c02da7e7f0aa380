"""Which column is what: the table that a person would write, and the columns it is about."""

import json
import tomllib
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message

from yofo_mlx.recipe.family import FAMILIES

from ..shared.table import Cell, Column, ListTable, head
from ..shared.words import MUTED, muted, safe

MORE = "other"
FIELDS = ("input", "output", "name", "family", "role", "instruction", MORE)
OWN = (*FIELDS, "source", "bad_rows")  # keys that are not typed as TOML
VALUES = {"family": FAMILIES, "role": ("train", "held_out")}  # that fields may hold
HELP = {  # of each field
    "path": "What to add: a file or folder (tab completes, ↓ chooses), files by *, a recipe, or an "
    "id of the hub; a word that is no file here is looked for on the hub.",
    "input": "The column that is read, or a template that joins some: {title}: {text}",
    "output": "The column that is answered, or a template that joins some.",
    "name": "What the data set is called in tables; empty: as its file.",
    "family": "What kind of task it is, which decides how answers are scored; empty: guessed.",
    "role": "train: a run learns from it. held_out: a run is measured on it, and never sees it.",
    "instruction": "A sentence before the demonstrations of every episode; empty: none.",
    MORE: "Any other key of a recipe's [[tasks]], as it is written there, `; ` between two.",
}


class Mapping:
    """The keys of a `[[tasks]]` table, as they are typed."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table
        self.wrong = ""  # what cannot be read of the keys that have no field

    def text(self, name: str) -> str:
        """Return what stands in a field."""
        if name != MORE:
            return _on_a_line(self.table.get(name, ""))
        return "; ".join(f"{key} = {_as_toml(value)}" for key, value in self._more().items())

    def put(self, name: str, text: str) -> None:
        """Take what was typed into a field; nothing leaves the key out."""
        if name == MORE:
            self._put_more(text)
        elif text.strip():
            self.table[name] = text.strip().replace("\\n", "\n")
        else:
            self.table.pop(name, None)

    def _more(self) -> dict[str, Any]:
        return {key: value for key, value in self.table.items() if key not in OWN}

    def _put_more(self, text: str) -> None:
        self.wrong = ""
        try:
            keys = tomllib.loads(text.replace("; ", "\n").rstrip("; "))
        except tomllib.TOMLDecodeError as error:
            self.wrong = f"{MORE} keys: {error}"
            return
        for key in self._more():
            del self.table[key]
        self.table |= {key: value for key, value in keys.items() if key not in OWN}


def _on_a_line(value: Any) -> str:
    return str(value).replace("\n", "\\n")


def _as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_as_toml(one)}' for key, one in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


class ColumnTable(ListTable):
    """The columns with what is in them; `i` and `o` say which are input and output."""

    HELP = "The columns of the data: i makes the one under the cursor the input, o the output."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "choose('input')", "Input", id="columns.input"),
        Binding("o", "choose('output')", "Output", id="columns.output"),
    ]

    class Chosen(Message):
        """A column is to be input or output."""

        def __init__(self, role: str, name: str) -> None:
            super().__init__()
            self.role, self.name = role, name

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []

    def show(self, found: list[list[str]], told: dict[str, Any]) -> None:
        """Fill the table."""
        self._names = [name for name, _ in found]
        cells = [
            [Cell(head(name, 20)), Cell(head(about, 38), MUTED), _use(name, told)]
            for name, about in found
        ]
        part = "" if told.get("is_all", True) else f", of the first {told['rows']:,} rows"
        columns = [Column("column"), Column(f"holds{part}"), Column("becomes")]
        self.fill(columns, self._names, cells)

    def action_choose(self, role: str) -> None:
        """Make the column under the cursor input or output."""
        if self._is_on_a_row:
            self.post_message(self.Chosen(role, self._names[self.cursor_row]))


def usual_of(told: dict[str, Any], table: dict[str, Any]) -> dict[str, str]:
    """Return what is taken for fields that are left empty."""
    stem = str(table["source"]).rstrip("/").rsplit("/", 1)[-1].split(".")[0]
    return {
        "input": _on_a_line(told.get("input", "a column, or a template: {title}: {text}")),
        "output": _on_a_line(told.get("output", "a column, or a template")),
        "name": stem,
        "family": f"{told['family']} (guessed)" if "family" in told else "",
        "role": "train, or held_out",
        "instruction": "such as: Name the intent of the request.",
        MORE: 'keys as in a recipe: splits = {train = "a"}; valid_share = 0.2',
    }


def _use(name: str, told: dict[str, Any]) -> Cell:
    for role in ("input", "output"):
        used = str(told.get(role, ""))
        if name == used or f"{{{name}}}" in used or f"{{{name}?}}" in used:
            return Cell(f"▸ {role}", "$text-success" if role == "output" else "$text-primary")
    return Cell("(not used)", MUTED)


def example_of(told: dict[str, Any], table: dict[str, Any]) -> list[Content]:
    """Return what becomes of bad rows, and how the first rows will read."""
    said: list[Content] = []
    if told.get("bad"):
        drops = table.get("bad_rows") == "drop"
        words = f"{told['bad']:,} of {_of_rows(told)} are bad"
        fate = "they are left out" if drops else "they are refused; ctrl+b leaves them out"
        said.append(Content.styled(f"! {words}: {fate}", "$text-warning"))
        for place, message in told.get("problems", [])[:5]:
            said.append(muted(safe(f"  {place.rsplit('/', 1)[-1]}  {message}", 200).plain))
        said.append(Content(""))
    if told.get("keys"):
        keys = ", ".join(f"{key} = {value}" for key, value in told["keys"].items())
        said += [muted(safe(f"read with {keys}", 200).plain), Content("")]
    if instruction := table.get("instruction"):
        said += [safe(instruction, 300), Content("")]
    for text, answer in told.get("examples", []):
        said.append(Content.assemble((("Input: "), MUTED), safe(text, 300)))
        shown = safe(answer, 200).stylize("$text-success on $success-muted")
        said.append(Content.assemble((("Output: "), MUTED), shown))
    return said


def _of_rows(told: dict[str, Any]) -> str:
    return f"{told['rows']:,} rows" if told["is_all"] else f"the first {told['rows']:,} rows"
