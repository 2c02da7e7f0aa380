"""A recipe for data sets, as a person would write it: what yofo finds by itself is left out."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, product
from pathlib import Path
from typing import Any

from yofo_mlx.commands.data_request import Group
from yofo_mlx.commands.settings import Settings
from yofo_mlx.errors import DataError, RecipeError
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.recipe.names import model_here
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system import toml
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import quoted, say
from yofo_mlx.system.text import printable, shorten
from yofo_mlx.tasks import checks
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.problems import Problem, errors
from yofo_mlx.tasks.reading.locate import is_pattern
from yofo_mlx.tasks.registry import METRICS, is_apart, is_embedded, make_task, metric_of
from yofo_mlx.tasks.sources import LoadedSource, default_name
from yofo_mlx.tasks.splits import SPLITS, Split

HEAD = "Written by `yofo recipes new`; `yofo recipes explain` says what each key means."
ASKED = "as asked"
HELD_OUT = 5  # one of so many data sets is held out
FEW = 0.05  # of the rows: labels without a letter that are not meant as labels
ENOUGH = 20  # examples to measure on
_RESULT = re.compile(r".*####\s*-?[\d,.]+\s*", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A `[[tasks]]` table to be, and what was read with it."""

    table: dict[str, Any]
    sets: tuple[LoadedSource, ...]
    held_out: str = ""
    """Why it is held out; empty where it is trained on."""

    @property
    def family(self) -> str:
        """The family of all its tasks, or what they have instead of one."""
        families = {loaded.family for loaded in self.sets}
        return families.pop() if len(families) == 1 else "mixed"

    def items(self, *splits: Split) -> list[Item]:
        """Return its examples, of all splits or of some."""
        wanted = splits or SPLITS
        return [
            item for loaded in self.sets for split in wanted for item in loaded.items.get(split, ())
        ]

    @property
    def is_one(self) -> bool:
        """Whether it is one task, whatever the files are."""
        return len(self.sets) == 1 and not is_pattern(self.table["source"])

    @property
    def name(self) -> str:
        """The name of its task, or what a pattern is called."""
        return self.sets[0].name if self.is_one else self.table["source"]

    def is_called(self, name: str) -> bool:
        """Tell whether somebody may mean it by a name."""
        return name in (self.table["source"], self.table.get("name"), self.name)

    def roles(self) -> Iterator[LoadedSource]:
        """Yield what was read, each with its role."""
        role = "held_out" if self.held_out else self.sets[0].source.role
        for loaded in self.sets:
            yield replace(loaded, source=loaded.source.model_copy(update={"role": role}))

    def beside(self, folder: Path) -> "Entry":
        """Return the same for a recipe that lies in another folder than this one."""
        moved = {"source": beside(folder, self.table["source"])}
        first = self.sets[0]
        if self.is_one and default_name(first.source.model_copy(update=moved)) != first.name:
            moved["name"] = first.name
        return replace(self, table={**self.table, **moved})


def beside(folder: Path, name: str) -> str:
    """Return what data or a model that is here is called in a recipe of another folder."""
    here = model_here(name)
    if folder.absolute() == Path.cwd() or here == name:
        return name
    moved = os.path.relpath(here, folder)
    is_same = os.path.realpath(folder / moved) == os.path.realpath(here)
    return moved if is_same else here


def file_name(found: Sequence[Entry]) -> str:
    """Return what a recipe for data sets is called."""
    source = Path(found[0].table["source"])
    named = source.absolute().parent.name if is_pattern(source.name) else found[0].name
    name = re.sub(r"[^\w.-]+", "-", named.split("/")[0]).strip("-.")
    return f"{name[:60]}.toml" if name and len(found) == 1 else "mine.toml"


def tell(found: Sequence[Entry]) -> None:
    """Say what was read, what is wrong with it, and what is held out."""
    for entry in found:
        say(f"{shorten(entry.name, 100)}: {next(about(entry))}")
        for remark in (remark for loaded in entry.sets for remark in loaded.remarks):
            say(f"  {remark}")
        if wrong := _bad_rows(entry):
            say(f"  left out: {wrong}")
        if entry.held_out:
            another = "" if entry.held_out == ASKED else "; another: --held-out NAME"
            say(f"  held out, {entry.held_out}{another}")
        if not entry.is_one and len(found) == 1 and not is_embedded(entry.sets[0].source):
            say(f"  none of them is held out; one: --held-out {quoted(entry.sets[0].name)}")
    own = [one for entry in found for one in entry.roles() if not is_embedded(one.source)]
    for problem in checks.check_held_out(own):
        say(f"warning: {problem}")


def entries(groups: Sequence[Group], held_out: Sequence[str]) -> list[Entry]:
    """Return the tables of a recipe for what was read; data that cannot be used are an error."""
    found: list[Entry] = []
    for group in groups:
        if group.recipe:
            copy = f", or edit a copy: yofo recipes copy {group.recipe.stem}"
            hint = f"name its data{copy if group.recipe in shipped_recipes() else ''}"
            raise RecipeError(f"{group.recipe} is a recipe already", hint)
        entry = Entry(dict(group.table), tuple(group.sets))
        if any(_same(one.table, entry.table) for one in found):
            raise RecipeError(f"{entry.table['source']} is named twice", "name it once")
        inside = not entry.is_one and any(
            _is_meant(*pair) for pair in product(group.sets, held_out)
        )
        found += _each(entry) if inside else [entry]
    _refuse_unusable([loaded for entry in found for loaded in entry.sets])
    return _chosen(_named(found), held_out)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two tables read the same, also where they spell its place in two ways."""
    first, second = ({**keys, "source": os.path.realpath(keys["source"])} for keys in (one, other))
    return first == second


def _is_meant(loaded: LoadedSource, name: str) -> bool:
    return name == loaded.name or str(Path(name).absolute()) == loaded.source.source


def _each(entry: Entry) -> list[Entry]:
    """Return a table for each task of a pattern."""
    if is_embedded(entry.sets[0].source):
        raise RecipeError("the embedded suite is one source", "hold out tiny:held_out")
    is_absolute = Path(entry.table["source"]).is_absolute()
    each = []
    for loaded in entry.sets:
        path = loaded.source.source
        table = {**entry.table, "source": path if is_absolute else os.path.relpath(path)}
        table.pop("name", None)
        if loaded.name != default_name(loaded.source.model_copy(update={"name": None})):
            table["name"] = loaded.name
        each.append(Entry(table, (loaded,)))
    return each


def _refuse_unusable(sets: Sequence[LoadedSource]) -> None:
    """Raise the first error of data that no `bad_rows` makes usable: all of it, or most."""
    found: list[Problem] = []
    for loaded in sets:
        wrong = errors(loaded.problems)
        items = sum(1 for _ in loaded.all_items())
        if len(wrong) > items or any(problem.ends_file for problem in wrong):
            found += wrong
        elif not is_embedded(loaded.source):
            _refuse_untrainable(loaded)
    if found:
        more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
        every = "`yofo data check` with the same words names all of them"
        raise DataError(f"{found[0]}{more}", found[0].hint or every)


def _refuse_untrainable(loaded: LoadedSource) -> None:
    """Raise an error if nothing is left to train on, with what became of the rows."""
    task, notes = make_task(loaded, seed=0)
    if not task.train:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise DataError(f"{loaded.source.source}: no examples to train on{why}", "see `splits`")


def _named(found: list[Entry]) -> list[Entry]:
    """Give a name where the one that a source gives is taken, or is none."""
    taken: set[str] = set()
    named = []
    for entry in found:
        names = {loaded.name for loaded in entry.sets}
        if names & taken or names & {".", ".."}:
            entry = _renamed(entry, taken)
        taken |= {loaded.name for loaded in entry.sets}
        named.append(entry)
    return named


def _renamed(entry: Entry, taken: set[str]) -> Entry:
    """Name a task after its folder too, the tasks of a pattern after the folder of the files."""
    place = Path(entry.table["source"]).absolute()
    own = entry.sets[0].name
    first = f"{place.parent.name}/{own}" if entry.is_one else place.parent.name
    first = place.resolve().name if own in (".", "..") else first
    for name in chain([first], (f"{first} {number}" for number in count(2))):
        names = [name if entry.is_one else f"{name}/{loaded.name}" for loaded in entry.sets]
        if taken.isdisjoint(names):
            break
    sets = tuple(replace(one, name=name) for one, name in zip(entry.sets, names, strict=True))
    return Entry({**entry.table, "name": name}, sets)


def _chosen(found: list[Entry], wanted: Sequence[str]) -> list[Entry]:
    """Mark what is held out: what was named, or else data sets of another kind than the rest."""
    held = {index: ASKED for name in wanted for index in _indexes(found, name)}
    suite = {
        index: "never trained on"
        for index, entry in enumerate(found)
        if is_apart(entry.table["source"]) and len(found) > 1
    }
    if not held and not any("role" in entry.table for entry in found):
        held = suite or _proposed(found)
    trained = set(range(len(found))) - held.keys()
    if all(found[index].table.get("role") == "held_out" for index in trained):
        hint = "name other data to train on; `yofo eval RUN --data FILE` measures on any"
        raise RecipeError("nothing is left to train on: all is held out", hint)
    return [replace(entry, held_out=held.get(index, "")) for index, entry in enumerate(found)]


def _indexes(found: list[Entry], name: str) -> list[int]:
    indexes = [
        index
        for index, entry in enumerate(found)
        if entry.is_called(name) or (entry.is_one and _is_meant(entry.sets[0], name))
    ]
    if not indexes:
        names = [loaded.name for entry in found for loaded in entry.sets]
        close = difflib.get_close_matches(name, names, n=1)
        guess = f"did you mean {close[0]}? " if close else ""
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise RecipeError(f"--held-out: no data set is called {name!r}", f"{guess}known: {shown}")
    return indexes


def _proposed(found: list[Entry]) -> dict[int, str]:
    """Return what to hold out with the reason: of rare families, and small.

    One of five data sets is, at least one where there are two.
    """
    counts = Counter(entry.family for entry in found)
    sizes = [len(entry.items()) for entry in found]
    alike = [counts[entry.family] for entry in found]
    order = sorted(range(len(found)), key=lambda at: (sizes[at] < ENOUGH, alike[at], sizes[at]))
    held = order[: max(1, len(found) // HELD_OUT) if len(found) > 1 else 0]
    return {at: _why(found[at].family, alike[at]) for at in held}


def _why(family: str, alike: int) -> str:
    if alike == 1:
        return f"the only one of its family ({family}) among these"
    return f"the smallest of the {alike} of its family ({family})"


def text(found: Sequence[Entry], model: str, settings: Settings, remarks: dict[str, str]) -> str:
    """Return the recipe; `remarks` are what stands behind some of the settings."""
    parts = [f"# {HEAD}\n", toml.pairs({"model": model})]
    parts += [f"\n[{name}]\n{_lines(keys, remarks)}" for name, keys in settings.items()]
    trained = [entry for entry in found if not entry.held_out]
    held = [entry for entry in found if entry.held_out]
    parts += [table(entry) for entry in trained]
    parts += [table(entry) for entry in held]
    if not held and all(entry.table.get("role") != "held_out" for entry in found):
        parts.append(
            "\n# Nothing is held out. How well a task is learnt that was never trained on:"
            "\n#   yofo eval last --data NEW-TASK.csv"
        )
    return "\n".join(parts) + "\n"


def table(entry: Entry) -> str:
    """Return one `[[tasks]]` table, with what was read above it."""
    keys = entry.table | _proposals(entry)
    if entry.held_out:
        keys["role"] = "held_out"
    order = list(TaskSource.model_fields)
    keys = dict(sorted(keys.items(), key=lambda pair: order.index(pair[0])))
    remarks = {
        "family": f"metric: {metric_of(entry.sets[0].source, entry.sets[0].family)}",
        "role": entry.held_out,
        "bad_rows": _bad_rows(entry),
    }
    head = "".join(f"\n# {printable(line)}" for line in about(entry))
    return f"{head}\n[[tasks]]\n{_lines(keys, remarks)}"


def _lines(keys: dict[str, Any], remarks: dict[str, str]) -> str:
    lines = []
    for key, value in keys.items():
        remark = f"   # {printable(remarks[key])}" if remarks.get(key) else ""
        lines.append(toml.pairs({key: value}) + remark)
    return "\n".join(lines)


def _proposals(entry: Entry) -> dict[str, Any]:
    """Return keys that nobody gave, where leaving them out would hide or lose something."""
    keys: dict[str, Any] = {}
    if is_embedded(entry.sets[0].source):
        return keys
    items = entry.items()
    family = entry.sets[0].family
    # Named, `multilabel` would read lists also where they are written as text.
    is_sure = family != "multilabel" or all(item.is_list for item in items)
    if entry.family == family and METRICS[family] != "exact" and is_sure:
        keys["family"] = family
    if entry.family == "math" and all(_RESULT.fullmatch(item.example.output) for item in items):
        keys["answer_after"] = "####"
    if any(errors(loaded.problems) for loaded in entry.sets):
        keys["bad_rows"] = "drop"
    return {key: value for key, value in keys.items() if key not in entry.table}


def _bad_rows(entry: Entry) -> str:
    wrong = [problem for loaded in entry.sets for problem in errors(loaded.problems)]
    return f"{plural(len(wrong), 'row')}, such as {shorten(str(wrong[0]), 120)}" if wrong else ""


def about(entry: Entry) -> Iterator[str]:
    """Yield what was read: counts, columns, labels."""
    sizes: Counter[str] = Counter()
    for loaded in entry.sets:
        sizes.update({split: len(items) for split, items in loaded.items.items() if items})
    counts = ", ".join(f"{size:,} {split}" for split, size in sizes.items())
    if len(entry.sets) > 1:
        yield shorten(
            f"{len(entry.sets)} tasks, {counts}: {', '.join(one.name for one in entry.sets)}", 95
        )
        return
    loaded = entry.sets[0]
    columns = loaded.columns
    shown = f"; {shorten(columns.input, 40)} -> {shorten(columns.output, 30)}" if columns else ""
    if loaded.family not in LABELLED:
        yield f"{counts}{shown}; {loaded.family}"
        return
    labels = loaded.label_counts()
    yield f"{counts}{shown}; {loaded.family}, {plural(len(labels), 'label')}"
    if columns and columns.names_output and "where" not in entry.table:
        yield from _no_labels(labels, columns.output)


def _no_labels(labels: Counter[str], column: str) -> Iterator[str]:
    """Propose to leave out a few rows whose label has no letter, such as `-` for undecided."""
    odd = [label for label in labels if not any(map(str.isalnum, label))]
    rows = sum(labels[label] for label in odd)
    if 0 < rows < FEW * labels.total():
        where = toml.pairs({"where": {column: {"not_in": odd}}})
        yield f"{plural(rows, 'row')} of {', '.join(map(repr, odd))}; without: {where}"
