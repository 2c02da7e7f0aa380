"""The rows of a data file as queries, in their order, those that cannot be read among them."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from yofo_mlx.errors import DataError, RecipeError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.chats import chat_of
from yofo_mlx.tasks.columns import Columns, choose_columns
from yofo_mlx.tasks.fields import Missing
from yofo_mlx.tasks.problems import Problem, RowError
from yofo_mlx.tasks.reading import locate
from yofo_mlx.tasks.reading.formats import DataFile, format_of
from yofo_mlx.tasks.reading.parquet import ClassNames, class_names
from yofo_mlx.tasks.reading.readers import read_rows
from yofo_mlx.tasks.reading.rows import Row
from yofo_mlx.tasks.row_forms import SHAPES

_HEAD = 20  # rows that tell which columns hold what


@dataclass(frozen=True, slots=True)
class Query:
    """A row: its fields, the text that is asked, and the answer that it holds, if any."""

    fields: dict[str, Any]
    text: str = ""
    expected: str | None = None
    error: str = ""
    """Why there is nothing to ask."""
    hint: str = ""
    """What may be done about that."""

    @property
    def mark(self) -> str:
        """Return what tells this row's question from others."""
        return hashlib.blake2b(
            self.text.encode("utf-8", "surrogatepass"), digest_size=8
        ).hexdigest()


@dataclass(frozen=True)
class Wanted:
    """How a user says that a file is read."""

    input: str | None = None
    output: str | None = None
    records: str | None = None
    tasks: tuple[TaskSource, ...] = ()
    """Those that a run was trained on."""


@dataclass
class QueryFile:
    """A data file, and what one pass over it has shown."""

    file: DataFile
    columns: Columns
    has_answers: bool
    records: str | None = None
    count: int = 0
    kinds: dict[str, set[type]] = field(default_factory=dict)
    """The columns of all rows in the order they come, and what kinds of values they hold."""
    remarks: list[Problem] = field(default_factory=list)
    """How it was read, where that is not plain."""
    systems: set[str] = field(default_factory=set)
    """The system texts of its rows; where they differ each stands before its row's input."""

    def __iter__(self) -> Iterator[Query]:
        """Read it from its beginning."""
        for row in _rows(self.file, self.records, []):
            yield Query({}, error=str(row)) if isinstance(row, Problem) else self._query(row)

    def _query(self, row: Row) -> Query:
        try:
            system, text = self.columns.question(row)
        except RowError as error:
            return Query(row.fields, error=f"{row.place}: {error.message}", hint=error.hint)
        self.systems.add(system)
        if system and len(self.systems) > 1:
            text = f"{system}\n\n{text}"
        return Query(row.fields, text, self._expected(row))

    def _expected(self, row: Row) -> str | None:
        if not self.has_answers:
            return None
        with suppress(RowError):  # not every row has to be labelled
            return self.columns.item(row).example.output
        return None


def look(name: str, wanted: Wanted) -> QueryFile:
    """Read a file once: whether it can be asked, its columns, how many rows there are.

    Rows are not kept, so that a file may have any length.
    """
    file = _file(name)
    if wanted.records and format_of(file.path.name) != ".json":
        told = f"--records is a path inside a JSON file, and {name} is none"
        raise RecipeError(told, "leave it out")
    remarks: list[Problem] = []
    head = list(islice(_rows(file, wanted.records, remarks), _HEAD))
    good = [row for row in head if isinstance(row, Row)]
    if not good:
        raise _nothing(name, head)
    columns, has_answers = _columns(good, wanted, class_names(file.path))
    found = QueryFile(file, columns, has_answers, wanted.records)
    wrong, first = 0, Query({})
    remarks.clear()
    for row in _rows(file, wanted.records, remarks):
        found.count += 1
        for column, value in row.fields.items() if isinstance(row, Row) else ():
            found.kinds.setdefault(str(column), set()).add(_kind(value))
        query = Query({}, error=str(row)) if isinstance(row, Problem) else found._query(row)
        wrong, first = wrong + bool(query.error), first if first.error else query
    if wrong == found.count:
        words = f"none of {plural(wrong, 'row')} can be asked: {first.error}"
        raise DataError(words, first.hint or _SAY_WHICH)
    found.remarks = remarks
    return found


def _kind(value: Any) -> type:
    """Return what a column of such values is; integers too large for a format are of no kind."""
    is_huge = isinstance(value, int) and value.bit_length() > 63
    return object if is_huge else type(value)


_SAY_WHICH = "`--input COLUMN` says which column holds the queries"


def _file(name: str) -> DataFile:
    if name == "-":
        wrong = "the rows are read more than once, which standard input cannot be"
        raise DataError(wrong, "put them into a file, or pipe single queries to `yofo chat`")
    path = locate.find(name, Path.cwd())
    if path is None or not path.is_file():
        raise DataError(f"{name} is no file", "name one: CSV, TSV, JSON Lines, JSON, Parquet")
    return DataFile(path, name)


def _rows(file: DataFile, records: str | None, remarks: list[Problem]) -> Iterator[Row | Problem]:
    """Yield rows, and in place of those that are lost, the problem; what ends a file is raised."""
    problems: list[Problem] = []

    def lost() -> Iterator[Problem]:
        for problem in problems:
            if problem.ends_file or not (problem.line or problem.is_remark):
                raise DataError(str(problem), problem.hint)
            if problem.severity == "error":
                yield problem
            else:
                remarks.append(problem)
        problems.clear()

    for row in read_rows(file, problems, records):
        yield from lost()
        yield row
    yield from lost()


def _nothing(name: str, head: list[Row | Problem]) -> DataError:
    first = next((row for row in head if isinstance(row, Problem)), None)
    if first is None:
        return DataError(f"{name} holds no rows", "give a file with a query in each row")
    return DataError(f"{name} holds no row that can be read; {first}", first.hint)


def _columns(rows: list[Row], wanted: Wanted, names: ClassNames) -> tuple[Columns, bool]:
    """Return which columns hold query and answer, and whether there are answers."""
    for row in rows:
        for input, output in _ways(row, wanted):
            try:
                columns = choose_columns(row, input, output, class_names=names)
                columns.item(row)
            except RowError:
                continue
            return columns, True
    if wanted.output:
        known = ", ".join(f"`{name}`" for name in rows[0].fields)
        raise DataError(f"no row has an answer in `{wanted.output}`", f"columns there: {known}")
    if not wanted.input and (chat := next(filter(None, (chat_of(r.fields) for r in rows)), ())):
        return Columns(f"{' + '.join(chat)}: user", "", chat=chat), False
    input = wanted.input or _input_of(rows, wanted)
    shape = next((one for one in SHAPES if one.instructs and one.input == input), None)
    return Columns(input, input, class_names=names, shape=shape), False


def _ways(row: Row, wanted: Wanted) -> Iterator[tuple[str | None, str | None]]:
    """Yield pairs of columns that may be meant, those that somebody has said first."""
    if wanted.input and wanted.output:
        yield wanted.input, wanted.output
        return
    for task in wanted.tasks:
        if task.input and task.output:
            yield wanted.input or task.input, wanted.output or task.output
    yield wanted.input, wanted.output
    if wanted.output:
        for input in _inputs(row, wanted):
            yield input, wanted.output


def _input_of(rows: list[Row], wanted: Wanted) -> str:
    """Return the column of the queries where there are no answers."""
    for input in _inputs(rows[0], wanted):
        if any(_has(row, input) for row in rows):
            return input
    names = ", ".join(f"`{name}`" for name in rows[0].fields)
    raise DataError(f"cannot tell which column holds the queries: {names}", _SAY_WHICH)


def _has(row: Row, input: str) -> bool:
    """Tell whether a column is there, whatever it holds."""
    try:
        Columns(input, input).question(row)
    except RowError as error:
        return not isinstance(error, Missing)
    return True


def _inputs(row: Row, wanted: Wanted) -> Iterator[str]:
    """Yield columns that may hold queries: a task's, those of known shapes, or the only one."""
    asked = [task.input for task in wanted.tasks if task.input]
    single = [str(name) for name in row.fields] if len(row.fields) == 1 else []
    yield from dict.fromkeys([*asked, *(shape.input for shape in SHAPES), *single])
