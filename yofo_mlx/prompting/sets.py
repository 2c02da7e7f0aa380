"""Named demonstration sets: JSON lines that a person could have written, and what lies beside them.

    NAME.jsonl    a row is {"input": ..., "output": ...}
    NAME.txt      the instruction, where there is one
    NAME.caches   keys and values that models have kept of it (`kept`)

What is dropped goes to `.dropped`, as a file that can be added again.
"""

import difflib
import os
import re
import shlex
import shutil
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from yofo_mlx.errors import DataError, RecipeError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs import listing
from yofo_mlx.runs.names import slug
from yofo_mlx.system import paths
from yofo_mlx.system.files import disk_error, write_text
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import is_utf8, reason, shorten
from yofo_mlx.tasks import sources, writing
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.problems import Place
from yofo_mlx.tasks.reading.formats import DataFile
from yofo_mlx.tasks.reading.locate import Found, Piece
from yofo_mlx.tasks.sources import LoadedSource
from yofo_mlx.tasks.task import Example

ROWS, INSTRUCTION, CACHES, DROPPED = ".jsonl", ".txt", ".caches", ".dropped"
# No dot and no slash: a set is never taken for a file of data, nor for a data set on the hub.
_NAME = re.compile(r"[^\W_][\w-]*")
_LONGEST = 100  # bytes; file systems take 255, and more stands behind it


@dataclass(frozen=True)
class DemoSet:
    """A named set; which rows it has is read anew each time."""

    name: str

    @property
    def path(self) -> Path:
        """The file of its rows."""
        return paths.demos() / f"{self.name}{ROWS}"

    @property
    def caches(self) -> Path:
        """The folder of what models have kept of it."""
        return paths.demos() / f"{self.name}{CACHES}"

    @property
    def instruction(self) -> str:
        """What stands before its demonstrations."""
        try:
            return self._instructed.read_text("utf-8-sig").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            wrong = f"{self._instructed} cannot be read: {reason(error)}"
            raise DataError(wrong, "write it again as UTF-8 text, or remove it") from error

    @property
    def _instructed(self) -> Path:
        return paths.demos() / f"{self.name}{INSTRUCTION}"

    def instruct(self, text: str) -> None:
        """Put an instruction before its demonstrations; an empty one: none."""
        with _changing():
            self._instruct(text)

    def _instruct(self, text: str) -> None:
        if text:
            write_text(self._instructed, text + "\n")
        else:
            self._instructed.unlink(missing_ok=True)

    def found(self) -> Found:
        """Return its file as that of a source."""
        return Found({"train": [Piece(DataFile(self.path, str(self.path)))]})

    def source(self) -> TaskSource:
        """Return it as the source of a task."""
        return TaskSource(source=str(self.path), name=self.name, instruction=self.instruction)

    def read(self) -> LoadedSource:
        """Return its rows with their lines; a line that is no row is a problem of it."""
        return sources.read_pieces(self.source(), self.found())


@dataclass(frozen=True)
class Added:
    """What became of rows that were to be added."""

    rows: int  # that the set has now
    added: int
    doublets: int  # left out, since they are there
    contradictions: int  # added inputs that the set has with another answer as well


def checked(name: str) -> DemoSet:
    """Return the set of a name that there may be; refuse what is no name."""
    name = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(name) or not is_utf8(name):
        wrong = f"{shorten(name, 60)!r} is no name of a set"
        raise RecipeError(wrong, "letters, digits, `-` and `_`, such as `tickets-2`")
    if len(os.fsencode(name)) > _LONGEST:
        raise RecipeError(f"{shorten(name, 60)!r} is too long a name", "choose a shorter one")
    return DemoSet(name)


def find(name: str) -> DemoSet | None:
    """Return the set of this name if there is one."""
    with suppress(RecipeError):
        return one if (one := checked(name)).path.is_file() else None
    return None


def get(name: str) -> DemoSet:
    """Return the set of this name, or say which there are."""
    if found := find(name):
        return found
    there = [one.name for one in everything()]
    close = difflib.get_close_matches(name, there, 1)
    known = f"did you mean {close[0]}?" if close else "`yofo demos list` names those there are"
    hint = known if there else "`yofo demos add NAME FILE` makes one"
    if Path(name).is_file():
        add = shlex.join(["yofo", "demos", "add", slug(Path(name).stem), name])
        hint = f"make one of that file: {add}"
    raise RecipeError(f"there is no demonstration set {shorten(name, 60)!r}", hint)


def everything() -> list[DemoSet]:
    """Return all sets by name."""
    found = (find(path.name.removesuffix(ROWS)) for path in paths.demos().glob(f"*{ROWS}"))
    return sorted(filter(None, found), key=lambda one: one.name)


def add(one: DemoSet, examples: Sequence[Example], instruction: str | None = None) -> Added:
    """Append what a set lacks; it is made if it is not there. None leaves its instruction."""
    with _changing():
        text = _text(one) if one.path.is_file() else ""
        there = dict.fromkeys(item.example for item in one.read().all_items()) if text else {}
        fresh = [example for example in dict.fromkeys(examples) if example not in there]
        answers: dict[str, set[str]] = {}
        for example in (*there, *fresh):
            answers.setdefault(example.input, set()).add(example.output)
        contradicting = {example.input for example in fresh if len(answers[example.input]) > 1}
        if instruction is not None:
            one._instruct(instruction)
        if fresh:
            end = "" if text.endswith("\n") or not text else "\n"
            write_text(one.path, f"{text}{end}{''.join(as_lines(fresh))}")
    rows, doublets = len(there) + len(fresh), len(examples) - len(fresh)
    return Added(rows, len(fresh), doublets, len(contradicting))


def put(one: DemoSet, examples: Iterable[Example], instruction: str) -> Path | None:
    """Have these rows instead of a set's; return the file that has now what is no more in it."""
    with _changing():
        kept = None
        if one.path.is_file():
            kept = _new_place(one)
            shutil.copyfile(one.path, kept)
        one._instruct(instruction)
        write_text(one.path, "".join(as_lines(examples)))
    return kept


def remove(one: DemoSet, spans: Sequence[range]) -> tuple[int, Path]:
    """Take rows, counted from 1, out of a set; return how many, and the file that has them now."""
    with _changing():
        items = list(one.read().all_items())
        for span in spans:
            if not span or not 0 < span[0] <= span[-1] <= len(items):
                asked = (
                    f"row {span.start}" if len(span) == 1 else f"rows {span.start}-{span.stop - 1}"
                )
                wrong = f"set {one.name} has {plural(len(items), 'row')}, and no {asked}"
                raise RecipeError(wrong, f"`yofo demos show {one.name}` numbers them")
        gone = [items[number - 1] for number in sorted({n for span in spans for n in span})]
        kept = _keep(one, [item.example for item in gone], "")
        lines, places = _text(one).split("\n"), {item.place.number for item in gone}
        left = [line for place, line in enumerate(lines, start=1) if place not in places]
        write_text(one.path, "\n".join(left))
    return len(gone), kept


def drop(one: DemoSet) -> tuple[int, Path]:
    """Remove a set and its caches; return its rows, and the file that has them now."""
    with _changing():
        loaded = one.read()
        examples = [item.example for item in loaded.all_items()]
        if loaded.problems:  # lines that are no rows could not be written as some
            kept = _new_place(one)
            os.replace(one.path, kept)
            if one.instruction:
                write_text(kept.with_suffix(INSTRUCTION), one.instruction + "\n")
        else:
            kept = _keep(one, examples, loaded.instruction)
            one.path.unlink()
        one._instruct("")
    shutil.rmtree(one.caches, ignore_errors=True)
    return len(examples), kept


def _keep(one: DemoSet, examples: Iterable[Example], instruction: str) -> Path:
    place = _new_place(one)
    write_text(place, "".join(as_lines(examples, instruction)))
    return place


def _new_place(one: DemoSet) -> Path:
    """Return where what is no more in a set may lie."""
    folder = paths.demos() / DROPPED
    folder.mkdir(exist_ok=True)
    return folder / f"{one.name}-{time.time_ns()}{ROWS}"


def as_lines(examples: Iterable[Example], instruction: str = "") -> Iterator[str]:
    """Yield rows as JSON lines that are read back as the same."""
    nowhere = Place("")
    return writing.lines((Item(one, nowhere, (one.output,)) for one in examples), instruction)


def _text(one: DemoSet) -> str:
    try:
        return one.path.read_bytes().decode()
    except UnicodeDecodeError as error:
        wrong = f"{one.path} is not UTF-8 text ({reason(error)})"
        raise DataError(wrong, "save it as UTF-8; it is left as it is") from error


@contextmanager
def _changing() -> Iterator[None]:
    """Change sets while no other process does; a disk that fails is told in words."""
    folder = paths.demos()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with listing.one_at_a_time(folder):
            yield
    except OSError as error:
        raise disk_error(error, folder, "the same command") from error
