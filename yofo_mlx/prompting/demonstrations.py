"""Demonstrations from pasted text, whose form is found out, or from all that is a task's source.

Rows with fields are read as a recipe's tasks are, so that a prompt shows what was trained.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.prompting import forms, sets
from yofo_mlx.prompting.sets import DemoSet
from yofo_mlx.recipe.names import SUITE
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs import listing
from yofo_mlx.runs.trained import trained_tasks
from yofo_mlx.system import toml
from yofo_mlx.system.text import reason, shorten
from yofo_mlx.tasks import sources
from yofo_mlx.tasks.columns import choose_columns
from yofo_mlx.tasks.problems import Place, RowError
from yofo_mlx.tasks.reading import jsontext, locate, sniff, text_tables
from yofo_mlx.tasks.reading.formats import DataFile, format_of
from yofo_mlx.tasks.reading.locate import Found, Piece
from yofo_mlx.tasks.reading.parquet import ClassNames, class_names
from yofo_mlx.tasks.reading.readers import read_rows
from yofo_mlx.tasks.reading.rows import Row, as_row
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.sources import LoadedSource
from yofo_mlx.tasks.task import Example

_HEAD = 20  # rows that show whether a task's columns are there
_TABLES = {"\t": "TSV", ",": "CSV", ";": "CSV with semicolons", "|": "CSV with bars"}
_ONE_ROW = ""  # in place of a suffix: one JSON object, on however many lines
_TEXT = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that became no demonstration, and why."""

    line: int
    message: str
    path: str = ""

    def __str__(self) -> str:
        if not self.path:
            return f"line {self.line}: {self.message}"
        return f"{self.path}{f':{self.line}' if self.line else ''}: {self.message}"


@dataclass(frozen=True)
class Parsed:
    """Demonstrations, what was left unread, and the form the text was taken for."""

    examples: tuple[Example, ...]
    problems: tuple[Rejected, ...]
    format: str
    instruction: str = ""
    """What the rows themselves, or the task they belong to, say before all of them."""
    notes: tuple[str, ...] = ()
    """How they were read, where that is not plain."""
    of_set: str = ""
    """The named set that they are."""
    inputs: tuple[str, ...] = ()
    """Inputs without answers, which stand before all of them."""


@dataclass(frozen=True)
class Style:
    """How rows become demonstrations: by columns that are given, or as a run's tasks have them."""

    tasks: tuple[TaskSource, ...] = ()
    input: str | None = None
    output: str | None = None
    records: str | None = None

    @property
    def is_given(self) -> bool:
        """Tell whether a column is given."""
        return bool(self.input or self.output)


def style_of(run: str | None) -> Style:
    """Return how the tasks that a run was trained on become demonstrations."""
    if run is None:
        return Style()
    tasks = trained_tasks(listing.find(run))
    return Style(tuple(task for task in tasks if not task.source.startswith(SUITE)))


def parse(text: str, style: Style | None = None) -> Parsed:
    """Return the demonstrations in a text; every line that gave none is a problem."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        return Parsed((), (), "nothing")
    style = style or Style()
    if form := _form_of_rows(text, style):
        return _pasted_rows(text, *form, style)
    form_of_text, read = _form_of_text(text)
    pieces = sorted(read(text), key=lambda piece: piece[0])
    return Parsed(
        tuple(found for _, found in pieces if isinstance(found, Example)),
        tuple(Rejected(line, found) for line, found in pieces if isinstance(found, str)),
        form_of_text,
    )


def read(name: str, style: Style | None = None, base: Path | None = None) -> Parsed:
    """Return the demonstrations of a named set, of a file of any text, or of a task's `source`.

    A source is a file, a folder, files by `*` or a data set on the hub; of those with splits, the
    training examples.
    """
    style, base = style or Style(), base or Path.cwd()
    if found := sets.find(name):
        return _of_set(found, base)
    if name.startswith(SUITE):
        return _of_suite(name, base)
    if locate.is_pattern(name) and not (base / name).exists():
        paths = locate.matches(name, base)
        if not paths:
            raise DataError(f"no file matches {shorten(name, 500)}", "check the pattern")
        return joined([read(str(path), style, base) for path in paths])
    path = locate.find(name, base)
    if path is not None and path.is_file() and format_of(path.name) is None:
        return parse(text_of(path), style)
    try:
        parsed = _read_source(name, path, style, base)
    except DataError:
        if (otherwise := _read_otherwise(name, path, style, base)) is None:
            raise
        return otherwise
    if not parsed.examples and (otherwise := _read_otherwise(name, path, style, base)):
        return otherwise
    plain = path is not None and path.is_file() and format_of(path.name) in _TEXT
    if parsed.examples or style.is_given or style.records or path is None or not plain:
        return parsed
    by_looks = parse(text_of(path), style)  # such as a table without a header
    return by_looks if by_looks.examples else parsed


def _of_set(named: DemoSet, base: Path) -> Parsed:
    parsed = _parsed(named.found(), named.source(), Style())
    words = f"the set of that name; what lies here is ./{named.name}"
    notes = (*parsed.notes, *([words] if (base / named.name).exists() else []))
    return replace(parsed, format=f"the set {named.name}", notes=notes, of_set=named.name)


def _of_suite(name: str, base: Path) -> Parsed:
    tasks = [entry.task for entry in load_tasks([TaskSource(source=name)], 0, base)]
    examples = tuple(example for task in tasks for example in task.train)
    return Parsed(examples, (), ", ".join(task.name for task in tasks[:3]))


def _read_otherwise(name: str, path: Path | None, style: Style, base: Path) -> Parsed | None:
    """Return what is read in one of the ways that a source here may have been meant, and say so."""
    asked = _asked(name, style)
    for keys in locate.other_readings(asked, base):
        pattern = keys.get("source")
        if pattern:
            found = read(pattern, style, base)
        else:
            found = _read_source(name, path, style, base, asked.model_copy(update=keys))
        if found.examples:
            told = f"{name}: read with {toml.pairs(keys, ', ')}"
            return replace(found, notes=(told, *found.notes))
    return None


def _asked(name: str, style: Style) -> TaskSource:
    return TaskSource(source=name, input=style.input, output=style.output, records=style.records)


def _read_source(
    name: str, path: Path | None, style: Style, base: Path, asked: TaskSource | None = None
) -> Parsed:
    own = [task for task in style.tasks if _is_same(task, name, path, base)]
    asked = asked or _asked(name, style)
    source = asked if style.is_given or style.records or not own else _at(own[0], name)
    found = locate.pieces(source, base)
    tasks = own or [task for task in style.tasks if path and _holds(task, path, base)]
    within = [_at(task, name, "files", "splits", "config", "records") for task in tasks]
    found.pieces = {"train": found.pieces["train"]}
    return _parsed(found, source, style, within)


def _parsed(
    found: Found,
    source: TaskSource,
    style: Style,
    own: Sequence[TaskSource] = (),
) -> Parsed:
    """Read rows as the task whose columns fit them, or as their shape says."""
    notes: list[str] = []
    if not style.is_given:
        pieces, names = found.pieces["train"], found.class_names
        fitting = _fitting(own, pieces, names) or _fitting(_foreign(style.tasks), pieces, names)
        if fitting:
            notes.append(_told(fitting))
            chosen = fitting[0][0]
            keep = {"source": source.source, "records": source.records, "bad_rows": "drop"}
            source = chosen.model_copy(update=keep)
    loaded = sources.read_pieces(source, found)
    for remark in loaded.remarks:  # of pasted text, the form says how it was read
        if remark.path or not remark.is_remark:
            notes.append(str(remark) if remark.path else remark.message)
    return Parsed(
        tuple(item.example for item in loaded.all_items()),
        tuple(Rejected(one.line, one.message, one.path) for one in loaded.problems),
        _columns(loaded),
        loaded.instruction,
        tuple(notes),
    )


def _fitting(
    tasks: Iterable[TaskSource], pieces: list[Piece], names: ClassNames
) -> list[tuple[TaskSource, list[Example]]]:
    """Return tasks whose columns most of the first rows have, each that shows them differently."""
    head: list[Row] = []
    for piece in pieces[:1]:
        names = {**names, **class_names(piece.file.path)}
        head = list(islice(read_rows(piece.file, [], piece.records), _HEAD))
    found: list[tuple[TaskSource, list[Example]]] = []
    for task in tasks:
        shown = list(_examples(task, head, names))
        if 2 * len(shown) > len(head) and shown not in [other for _, other in found]:
            found.append((task, shown))
    return found


def _examples(task: TaskSource, rows: list[Row], names: ClassNames) -> Iterator[Example]:
    columns = None
    for row in rows:
        try:
            columns = columns or choose_columns(
                row,
                task.input,
                task.output,
                task.separator,
                task.labels or (),
                names,
                task.family,
            )
            yield columns.item(row).example
        except RowError:
            continue


def _foreign(tasks: Iterable[TaskSource]) -> Iterator[TaskSource]:
    """Yield how tasks read rows, without which rows they read; plain ones say nothing of others."""
    for task in tasks:
        if task.input or task.output or task.labels:
            keys = ("name", "input", "output", "separator", "labels", "family")
            known = {key: getattr(task, key) for key in keys}
            yield TaskSource(source=task.source, **known)


def _told(fitting: list[tuple[TaskSource, list[Example]]]) -> str:
    names = [task.name or sources.default_name(task) for task, _ in fitting]
    told = f"shown as task {shorten(names[0], 60)} was trained"
    if len(names) == 1:
        return told
    others = ", ".join(shorten(name, 60) for name in names[1:6])
    return f"{told}; the columns of {others} fit too: `--input` and `--output` decide"


def _is_same(task: TaskSource, name: str, path: Path | None, base: Path) -> bool:
    """Tell whether a name is a task's own source."""
    if path is None:
        return task.source == name
    return path.resolve() == (base / Path(task.source).expanduser()).resolve()


def _holds(task: TaskSource, path: Path, base: Path) -> bool:
    """Tell whether a file is one of a task's."""
    if locate.is_pattern(task.source):
        return path.resolve() in [one.resolve() for one in locate.matches(task.source, base)]
    return (base / Path(task.source).expanduser()).resolve() in path.resolve().parents


def _at(task: TaskSource, name: str, *left_out: str) -> TaskSource:
    return task.model_copy(update={"source": name, **dict.fromkeys(left_out)})


def _columns(loaded: LoadedSource) -> str:
    columns = loaded.columns
    return f"rows: {columns.input!r} -> {columns.output!r}" if columns else "rows"


def joined(parts: Sequence[Parsed]) -> Parsed:
    """Put the rows of several files together; what each says of its own stands before its rows."""
    if len(parts) == 1:
        return parts[0]
    shared = len({part.instruction for part in parts}) == 1
    examples = [
        example if shared or not part.instruction else sources.after(part.instruction, example)
        for part in parts
        for example in part.examples
    ]
    return Parsed(
        tuple(examples),
        tuple(problem for part in parts for problem in part.problems),
        f"{', '.join(dict.fromkeys(part.format for part in parts))}, from {len(parts)} files",
        parts[0].instruction if shared else "",
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def text_of(path: Path) -> str:
    """Return the text of a file, unpacked."""
    try:
        data = DataFile(path, str(path)).read()
        if strange := sniff.stranger(data[: sniff.ENOUGH], ""):
            raise DataError(f"{path} is {strange[0]}", strange[1])
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", "save it as UTF-8") from error
    except (OSError, EOFError, ValueError) as error:
        words = getattr(error, "strerror", None) or reason(error)
        raise DataError(f"{shorten(str(path), 500)}: {words}", "check the path") from error


def _form_of_rows(text: str, style: Style) -> tuple[str, str] | None:
    """Return the name of a text's form and the end of a file's name that stands for it."""
    lines = [line for line in text.split("\n") if line.strip()]
    if text.lstrip()[0] in "[{":
        try:
            whole = jsontext.parse(text)
        except jsontext.JsonError:
            is_lines = _most(line.lstrip().startswith(("{", '["')) for line in lines)
            return ("JSON lines", ".jsonl") if is_lines else None
        if isinstance(whole, dict) and (_is_row(whole, style) or not jsontext.lists(text)):
            return "JSON lines", _ONE_ROW
        return "a JSON list", ".json"
    if forms.block_names(text):
        return None
    said = text_tables.separator_in(lines[0])
    header = lines[1] if said and len(lines) > 1 else lines[0]
    for delimiter, name in _TABLES.items():
        if delimiter in header and _is_header(header.split(delimiter), style):
            return f"{name} with a header", ".tsv" if delimiter == "\t" else ".csv"
    return None


def _is_header(cells: list[str], style: Style) -> bool:
    names = [cell.strip().strip('"') for cell in cells]
    return len(names) > 1 and _is_row(dict.fromkeys(names, "0"), style)


def _is_row(fields: dict[str, object], style: Style) -> bool:
    """Tell whether fields are those of a known shape, of given columns or of a run's tasks."""
    given = [(style.input, style.output)] if style.is_given else [(None, None)]
    [row] = as_row(fields, Place(""), [])
    for input, output in [*given, *((task.input, task.output) for task in style.tasks)]:
        try:
            choose_columns(row, input, output).item(row)
        except RowError:
            continue
        return True
    return False


def _pasted_rows(text: str, form: str, suffix: str, style: Style) -> Parsed:
    if suffix == _ONE_ROW:
        text, suffix = f"[{text}]", ".json"
    file = DataFile(Path(f"pasted{suffix}"), "", text.encode("utf-8", "surrogatepass"))
    found = Found({"train": [Piece(file, style.records)]})
    parsed = _parsed(found, _asked("pasted", style), style)
    problems = tuple(problem for problem in parsed.problems if problem.line)
    if not parsed.examples and not problems:
        problems = (Rejected(1, f"{form}, but nothing in it"),)
    return replace(parsed, format=form, problems=problems)


def _form_of_text(text: str) -> tuple[str, Callable[[str], Iterator[forms.Piece]]]:
    """Return the name of a text's form and its reader."""
    if pair := forms.block_names(text):
        return f"{pair[0]}: / {pair[1]}: blocks", lambda text: forms.read_blocks(text, pair)
    lines = [line for line in text.split("\n") if line.strip()]
    counts = [sum(separator in line for line in lines) for separator in forms.SEPARATORS]
    separator = forms.SEPARATORS[counts.index(max(counts))]
    if 2 * max(counts) >= len(lines):
        name = "tab" if separator == "\t" else f"`{separator}`"
        return f"lines with {name}", lambda text: forms.read_lines(text, separator)
    if _most(len(cells) == 2 for cells in forms.table(text, []).rough()):
        return "CSV of two columns", forms.read_pairs
    form = "lines with `->`" if "->" in text else "nothing"
    return form, lambda text: forms.read_lines(text, "->")


def _most(hits: Iterator[bool]) -> bool:
    results = list(hits)
    return 2 * sum(results) > len(results)
