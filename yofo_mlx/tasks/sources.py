"""From a `[[tasks]]` table to the examples of its splits, with every problem on the way."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from yofo_mlx.errors import DataError
from yofo_mlx.progress import counted
from yofo_mlx.recipe import TaskSource
from yofo_mlx.tasks import locate
from yofo_mlx.tasks.columns import Columns, Item, choose_columns
from yofo_mlx.tasks.locate import Piece
from yofo_mlx.tasks.parquet import ClassNames, class_names
from yofo_mlx.tasks.problems import Place, Problem, RowError
from yofo_mlx.tasks.readers import format_of, read_rows
from yofo_mlx.tasks.rows import Row
from yofo_mlx.tasks.splits import SPLITS, Split

# Rows that are looked at to find out which columns there are.
_HEAD = 100


@dataclass
class Loaded:
    """A source as read: columns, examples by split, problems."""

    source: TaskSource
    name: str
    columns: Columns | None = None
    items: dict[Split, list[Item]] = field(default_factory=dict)
    files: dict[Split, list[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def all_items(self) -> Iterator[Item]:
        """Yield the examples of all splits."""
        for split in SPLITS:
            yield from self.items.get(split, ())


def load(source: TaskSource, base: Path) -> list[Loaded]:
    """Read a source: one set of examples, or one for each file that a `*` matches."""
    if not locate.is_pattern(source.source):
        return [_load_one(source, base)]
    paths = locate.matches(source.source, base)
    if not paths:
        missing = Problem(Place(source.source), "no file matches", "check the pattern")
        return [Loaded(source, source.name or source.source, problems=[missing])]
    prefix = f"{source.name}/" if source.name else ""
    parts = [
        source.model_copy(update={"source": str(path), "name": prefix + path.name.split(".")[0]})
        for path in paths
    ]
    return [_load_one(part, base) for part in parts]


def _load_one(source: TaskSource, base: Path) -> Loaded:
    loaded = Loaded(source, source.name or default_name(source))
    names: ClassNames = {}
    try:
        pieces, names = locate.pieces(source, base)
    except DataError as error:
        message = error.message.removeprefix(f"{source.source}: ")
        loaded.problems.append(Problem(Place(source.source), message, error.hint))
        return loaded
    for split in SPLITS:
        if split in pieces:
            loaded.files[split] = [piece.file.shown for piece in pieces[split]]
            loaded.items[split] = list(_items(pieces[split], loaded, names))
    if not any(loaded.items.values()) and not loaded.problems:
        hint = "the files were read, but hold no rows"
        loaded.problems.append(Problem(Place(source.source), "no examples", hint))
    if source.bad_rows == "drop" and any(loaded.items.values()):
        loaded.problems = [replace(problem, severity="warning") for problem in loaded.problems]
    return loaded


def default_name(source: TaskSource) -> str:
    """Return a task's name where the recipe gives none."""
    path = source.source.rstrip("/")
    name = path.rsplit("/", 1)[-1]
    if format_of(name):
        name = name.split(".")[0]
    return f"{name}/{source.config}" if source.config else name or "task"


def _items(pieces: list[Piece], loaded: Loaded, names: ClassNames) -> Iterator[Item]:
    for piece in pieces:
        problems: list[Problem] = []
        items = list(_items_of(piece, loaded, names, problems))
        loaded.problems += problems if items else _say_once(problems)
        yield from items


def _items_of(
    piece: Piece, loaded: Loaded, names: ClassNames, problems: list[Problem]
) -> Iterator[Item]:
    path = piece.file.path
    known = {**names, **(class_names(path) if path.suffix == ".parquet" else {})}
    rows = read_rows(piece.file, problems, piece.records)
    if loaded.columns is None:
        head = list(islice(rows, _HEAD))
        loaded.columns = _choose(loaded.source, head, known, problems)
        rows = chain(head, rows) if loaded.columns else iter(())
    for row in counted(rows, f"reading {piece.file.shown}, rows"):
        try:
            if loaded.columns:
                yield loaded.columns.item(row)
        except RowError as error:
            problems.append(Problem(row.place, error.message, error.hint))


def _choose(
    source: TaskSource, rows: list[Row], names: ClassNames, problems: list[Problem]
) -> Columns | None:
    """Return the columns of the first row that shows them; a broken one does not decide."""
    labels = source.labels or ()
    first: Problem | None = None
    for row in rows:
        try:
            return choose_columns(row, source.input, source.output, source.separator, labels, names)
        except RowError as error:
            first = first or Problem(row.place, error.message, error.hint)
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
