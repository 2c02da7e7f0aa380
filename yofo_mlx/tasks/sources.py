"""From a `[[tasks]]` table to the examples of its splits, with every problem on the way."""

import os.path
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.recipe.family import Family
from yofo_mlx.recipe.names import GENERATED
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.progress import counted
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.columns import Columns, Item, choose_columns, names_of_numbers
from yofo_mlx.tasks.families import LABELLED, guess_family
from yofo_mlx.tasks.label_groups import by_group, in_group, mistake, ungrouped
from yofo_mlx.tasks.problems import Place, Problem, RowError, errors, remark
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.reading.formats import format_of
from yofo_mlx.tasks.reading.locate import Found, Piece
from yofo_mlx.tasks.reading.parquet import ClassNames, class_names
from yofo_mlx.tasks.reading.readers import read_rows
from yofo_mlx.tasks.reading.rows import Row, header_again
from yofo_mlx.tasks.row_forms import is_header
from yofo_mlx.tasks.splits import SPLITS, Split
from yofo_mlx.tasks.synthetic import names as synthetic
from yofo_mlx.tasks.task import Example
from yofo_mlx.tasks.where import Selection

# Rows that are looked at to find out which columns there are.
_HEAD = 100


@dataclass
class LoadedSource:
    """A source as read: columns, examples by split, problems."""

    source: TaskSource
    name: str
    columns: Columns | None = None
    items: dict[Split, list[Item]] = field(default_factory=dict)
    files: dict[Split, list[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    """Rows that became no example: errors, and warnings where they are left out."""
    remarks: list[Problem] = field(default_factory=list)
    """How files were read where that is not plain, and what of their rows is not used."""
    selection: Selection | None = None
    instruction: str = ""
    """The recipe's instruction, with the system text that all rows share."""
    family: Family = "other"
    nbytes: int = 0
    """Of its files, as they lie there."""
    of_no_group: str = ""
    """How many rows no group of labels takes."""

    @property
    def passed(self) -> int:
        """How many rows `where` has passed over."""
        return self.selection.seen - self.selection.kept if self.selection else 0

    def all_items(self) -> Iterator[Item]:
        """Yield the examples of all splits."""
        for split in SPLITS:
            yield from self.items.get(split, ())

    def label_counts(self) -> Counter[str]:
        """Count every label among the answers; a family without labels has none."""
        items = self.all_items() if self.family in LABELLED else ()
        return Counter(answer for item in items for answer in item.answers)


def load(source: TaskSource, base: Path) -> list[LoadedSource]:
    """Read a source: one set of examples, or one for each file of a `*`, each group of labels."""
    found = _by_file(source, base)
    if not found:
        missing = Problem(Place(source.source), "no file matches", "check the pattern")
        return [LoadedSource(source, source.name or source.source, problems=[missing])]
    return [part for one in found for part in _by_group(_load_one(one, base))]


def expand(source: TaskSource, base: Path) -> list[TaskSource]:
    """Return a source for each task that `*` and `groups` make of one; nothing is read."""
    files = _by_file(source, base)
    return [one for file in files for one in by_group(file, file.name or default_name(file))]


def _by_file(source: TaskSource, base: Path) -> list[TaskSource]:
    """Return a source for each file that a `*` matches, itself without any."""
    if not locate.is_pattern(source.source):
        return [_as_its_kind(source)]
    paths = locate.matches(source.source, base)
    prefix = f"{source.name}/" if source.name else ""
    return [
        _as_its_kind(source.model_copy(update={"source": str(path), "name": prefix + name}))
        for path, name in zip(paths, _names(paths), strict=True)
    ]


def _as_its_kind(source: TaskSource) -> TaskSource:
    """Return a source; of a generated task with the family and the columns of its kind."""
    if (generated := synthetic.only(source.source)) is None:
        return source
    usual = {"family": generated.family, "input": generated.input, "output": "output"}
    return source.model_copy(
        update={key: value for key, value in usual.items() if getattr(source, key) is None}
    )


def _load_one(source: TaskSource, base: Path) -> LoadedSource:
    try:
        found = locate.pieces(source, base)
    except DataError as error:
        message = error.message.removeprefix(f"{source.source}: ")
        missing = Problem(Place(source.source), message, error.hint)
        return LoadedSource(source, source.name or default_name(source), problems=[missing])
    return read_pieces(source, found)


def _by_group(loaded: LoadedSource) -> Iterator[LoadedSource]:
    """Part what was read by groups of labels; what was met while reading is told of the first."""
    source = loaded.source
    wrong = errors(loaded.problems)
    if source.groups and not wrong:
        known = Counter(answer for item in loaded.all_items() for answer in item.answers)
        wrong = [found] if (found := mistake(source, loaded.family, known)) else []
        loaded.problems += wrong
    if not source.groups or wrong:
        yield loaded
        return
    rest = loaded
    rest.of_no_group = ungrouped(source, loaded.all_items())
    for one in by_group(source, loaded.name):
        part = replace(rest, source=one, name=one.name or loaded.name, items={})
        for split, items in loaded.items.items():
            part.items[split] = in_group(one, items)
        if not any(part.items.values()):
            message = f"no row has labels of {part.name} only"
            part.problems = [*part.problems, Problem(Place(source.source), message, "see `groups`")]
        yield part
        rest = replace(loaded, problems=[], remarks=[], selection=None, of_no_group="")


def read_pieces(source: TaskSource, found: Found) -> LoadedSource:
    """Read files as a source says."""
    loaded = LoadedSource(source, source.name or default_name(source))
    pieces, place = found.pieces, Place(source.source)
    loaded.problems = [remark(place, *left_out) for left_out in found.left_out]
    if source.where:
        loaded.selection = Selection(source.where)
    for split in SPLITS:
        if split in pieces:
            loaded.files[split] = [piece.file.shown for piece in pieces[split]]
            loaded.items[split] = list(_items(pieces[split], loaded, found.class_names))
    files = {piece.file.path: piece.file for found in pieces.values() for piece in found}
    with suppress(OSError):  # gone since
        loaded.nbytes = sum(file.nbytes for file in files.values())
    _settle(loaded)
    return loaded


def _settle(loaded: LoadedSource) -> None:
    """Decide what takes all rows to decide."""
    source, place = loaded.source, Place(loaded.source.source)
    loaded.remarks = [problem for problem in loaded.problems if problem.is_remark]
    loaded.problems = [problem for problem in loaded.problems if not problem.is_remark]
    there = any(loaded.items.values())
    if source.bad_rows == "drop" and there:
        loaded.problems = [
            problem if problem.ends_file else replace(problem, severity="warning")
            for problem in loaded.problems
        ]
    mistake = loaded.selection.mistake() if loaded.selection else None
    if mistake:
        loaded.problems.append(mistake.at(place))
    elif not there and not errors(loaded.problems):
        hint = "the files were read, but hold no rows" + (" to learn" if loaded.problems else "")
        loaded.problems.append(Problem(place, "no examples", hint))
    elif loaded.selection and (idle := loaded.selection.idle()):
        hint = "check how the value is written"
        loaded.remarks.append(Problem(place, idle, hint, "warning"))
    loaded.remarks += _unused(loaded.all_items())
    shared, loaded.items = place_systems(loaded.items)
    parts = dict.fromkeys(part for part in (shared, source.instruction) if part)
    loaded.instruction = "\n\n".join(parts)
    loaded.family = source.family or guess_family(
        list(loaded.all_items()), labelled=bool(source.labels is not None or source.groups)
    )


def place_systems(items: dict[Split, list[Item]]) -> tuple[str, dict[Split, list[Item]]]:
    """Return the system text that all rows share, and the examples.

    Where rows have system texts of their own, each stands before its row's input.
    """
    systems = {item.system for of_split in items.values() for item in of_split}
    if len(systems) < 2:
        return next(iter(systems), ""), items
    return "", {split: list(map(_with_system, of_split)) for split, of_split in items.items()}


def _with_system(item: Item) -> Item:
    if not item.system:
        return item
    return replace(item, example=after(item.system, item.example))


def after(text: str, example: Example) -> Example:
    """Return an example with a text before its input."""
    return replace(example, input=f"{text}\n\n{example.input}")


def _unused(items: Iterable[Item]) -> list[Problem]:
    """Tell once what of the rows becomes no part of the examples."""
    counts: Counter[str] = Counter()
    first: dict[str, Place] = {}
    for item in items:
        counts.update(item.unused)
        for what in item.unused:
            first.setdefault(what, item.place)
    hint = "name it in `input` or `output` if it belongs there"
    told = {what: plural(times, "row") for what, times in counts.items()}
    return [
        Problem(
            first[what],
            f"not used: {what} ({rows})",
            hint if what.endswith("`") else "",
            "warning",
            f"not used: {what}",
        )
        for what, rows in told.items()
    ]


def default_name(source: TaskSource) -> str:
    """Return a task's name where the recipe gives none."""
    if generated := synthetic.only(source.source):
        return generated.name
    name = _stem(source.source.rstrip("/").rsplit("/", 1)[-1])
    return f"{name}/{source.config}" if source.config else name or "task"


def _stem(name: str) -> str:
    """Return a file's name without what tells its format."""
    if format_of(name) is None:
        return name
    plain = name[:-3] if name.lower().endswith(".gz") else name
    return plain[: plain.rindex(".")]


def _names(paths: list[Path]) -> list[str]:
    """Name files by their stems, or by their folders too where stems are the same."""
    if not paths:
        return []
    stems = [_stem(path.name.removeprefix(GENERATED)) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    shared = os.path.commonpath([path.parent for path in paths])
    inside = [path.parent.relative_to(shared) for path in paths]
    named = [str(folder / stem) for folder, stem in zip(inside, stems, strict=True)]
    whole = [str(folder / path.name) for folder, path in zip(inside, paths, strict=True)]
    return named if len(set(named)) == len(named) else whole


def _items(pieces: list[Piece], loaded: LoadedSource, names: ClassNames) -> Iterator[Item]:
    for piece in pieces:
        problems: list[Problem] = []
        passed = loaded.passed
        items = list(_items_of(piece, loaded, names, problems))
        if not items:
            problems = _say_once(problems)
            if loaded.passed == passed:  # else there are good rows, which `where` leaves out
                problems = [replace(problem, ends_file=True) for problem in problems]
        loaded.problems += problems
        yield from items


def _items_of(
    piece: Piece, loaded: LoadedSource, names: ClassNames, problems: list[Problem]
) -> Iterator[Item]:
    known = {**names, **class_names(piece.file.path)}
    read = read_rows(piece.file, problems, piece.records)
    if not (loaded.source.input or loaded.source.output or loaded.source.where):
        read = _named(read, problems)
    rows = _chosen(read, loaded, known, problems)
    if loaded.columns is None:
        head = list(islice(rows, _HEAD))
        loaded.columns = _choose(loaded.source, head, known, problems)
        rows = chain(head, rows) if loaded.columns else iter(())
    for row in counted(rows, f"reading {piece.file.shown}, rows"):
        try:
            if loaded.columns:
                yield loaded.columns.item(row)
        except RowError as error:
            problems.append(error.at(row.place))


def _named(rows: Iterator[Row], problems: list[Problem]) -> Iterator[Row]:
    """Yield rows; those that are lists have names where the first one is a header."""
    names: list[str] = []
    for index, row in enumerate(rows):
        values = list(row.fields.values())
        if index == 0 and is_header(row):
            names = values
            problems.append(remark(row.place, "the first list names the columns", "read so"))
        elif names and len(values) == len(names) and "0" in row.fields:
            yield Row(row.place, dict(zip(names, values, strict=True)))
        else:
            yield row


def _chosen(
    rows: Iterator[Row], loaded: LoadedSource, names: ClassNames, problems: list[Problem]
) -> Iterator[Row]:
    """Yield the rows that are data, and that `where` takes."""
    source = loaded.source
    if source.output and source.labels:
        names = {**names, source.output: names_of_numbers(source.labels)}
    for row in rows:
        again = header_again(row)
        if again:
            problems.append(again)
        elif loaded.selection is None or loaded.selection.takes(row.fields, names):
            yield row


def _choose(
    source: TaskSource, rows: list[Row], names: ClassNames, problems: list[Problem]
) -> Columns | None:
    """Return the columns of the first row that shows them; a broken one does not decide."""
    labels = source.labels or ()
    first: Problem | None = None
    for row in rows:
        try:
            found = choose_columns(
                row, source.input, source.output, source.separator, labels, names, source.family
            )
            more = {name: getattr(source, name) for name in ("rejected", "doubt", "teacher")}
            return replace(found, **more)
        except RowError as error:
            first = first or error.at(row.place)
    problems += [first] if first else []
    return None


def _say_once(problems: list[Problem]) -> list[Problem]:
    """Join what all rows of a file have in common, such as a column that is not there."""
    counts = Counter(problem.message for problem in problems)
    first: dict[str, Problem] = {}
    for problem in problems:
        more = counts[problem.message] - 1
        told = f"{problem.message} (and {more} more rows)" if more else problem.message
        first.setdefault(problem.message, replace(problem, message=told))
    return list(first.values())
