"""What is suspicious about examples that could be read."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from yofo_mlx.recipe.section import LabelRange
from yofo_mlx.system.text import shorten
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.families import LABELLED, SINGLE_LABEL, json_in
from yofo_mlx.tasks.problems import Place, Problem
from yofo_mlx.tasks.sources import LoadedSource
from yofo_mlx.tasks.spelling import label_key, list_in_text, spelled, text_key
from yofo_mlx.tasks.splits import SPLITS

LONG_TEXT = 100_000
_SHOWN_LABELS = 12

_QUOTE = re.compile("['\"]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")


def check(loaded: LoadedSource, subset: LabelRange | None = None) -> list[Problem]:
    """Return every problem of a source: those met while reading, then the suspicious ones.

    `subset`: how many labels an episode of any task shows, where a recipe says so.
    """
    found = [*loaded.problems, *loaded.remarks]
    found += _duplicates(loaded)
    found += _leaks(loaded)
    if loaded.family in LABELLED:
        found += _labels(loaded)
    found += _subset(loaded, subset)
    found += _list_texts(loaded)
    found += _no_json(loaded)
    found += _odd_text(loaded)
    return found


def check_names(names: Sequence[str]) -> list[Problem]:
    """Return an error for every name that several tasks have."""
    hint = 'tell them apart: name = "..."'
    return [
        Problem(Place(f"task {name}"), f"{count} tasks have this name", hint)
        for name, count in Counter(names).items()
        if count > 1
    ]


def check_held_out(sources: list[LoadedSource]) -> list[Problem]:
    """Return a warning for every held-out source whose rows are also trained on."""
    owners = {
        text_key(item.example.input): loaded.name
        for loaded in sources
        if loaded.source.role == "train"
        for item in loaded.all_items()
    }
    found: list[Problem] = []
    for loaded in sources:
        if loaded.source.role == "held_out":
            items = list(loaded.all_items())
            shared = [item for item in items if text_key(item.example.input) in owners]
            if shared:
                owner = owners[text_key(shared[0].example.input)]
                message = (
                    f"held-out input that task {owner!r} trains on ({len(shared):,} such rows)"
                    f"{_labels_of(loaded, shared)}"
                )
                found.append(_warning(shared[0], message, "hold out other data"))
    return found


def _labels_of(loaded: LoadedSource, items: Sequence[Item]) -> str:
    labels = {answer for item in items for answer in item.answers}
    if loaded.family not in LABELLED:
        return ""
    shown = ", ".join(shorten(label, 40) for label in sorted(labels)[:_SHOWN_LABELS])
    more = f" and {len(labels) - _SHOWN_LABELS} more" if len(labels) > _SHOWN_LABELS else ""
    return f", with labels {shown}{more}"


def _duplicates(loaded: LoadedSource) -> Iterator[Problem]:
    for split in SPLITS:
        first: dict[str, Item] = {}
        for item in loaded.items.get(split, ()):
            twin = first.setdefault(text_key(item.example.input), item)
            if twin is item:
                continue
            if text_key(twin.example.output) == text_key(item.example.output):
                kind, hint = "a row that is there twice", "repeated rows are used once"
                message = f"the same row as {twin.place}"
            else:
                here, there = shorten(item.example.output, 40), shorten(twin.example.output, 40)
                kind, hint = "same input, other answer", "keep one of them; both stay until then"
                message = f"same input as {twin.place}, other answer: {here!r}, there {there!r}"
            yield _warning(item, message, hint, kind)


def _leaks(loaded: LoadedSource) -> Iterator[Problem]:
    seen: dict[str, tuple[str, Item]] = {}
    for split in SPLITS:
        keys = [(text_key(item.example.input), item) for item in loaded.items.get(split, ())]
        for key, item in keys:
            other = seen.get(key)
            if other:
                message = f"{split} input that is also in {other[0]}: {other[1].place}"
                left_out = "the row in train is left out of it"
                hint = left_out if other[0] == "train" else "queries of both; neither is trained on"
                yield _warning(item, message, hint)
        for key, item in keys:
            seen.setdefault(key, (split, item))


def _labels(loaded: LoadedSource) -> Iterator[Problem]:
    items = list(loaded.all_items())
    counts = Counter(answer for item in items for answer in item.answers)
    lists = [item for item in items if len(item.answers) > 1]
    if lists and loaded.family != "multilabel":
        message = f"{len(lists):,} answers are lists, joined to one label each"
        yield _warning(lists[0], message, 'family = "multilabel" compares them as sets')
    mark = loaded.source.separator.strip() or loaded.source.separator
    first: dict[str, str] = {}
    trained = {answer for item in loaded.items.get("train", ()) for answer in item.answers}
    told: set[str] = set()
    for item in items:
        for answer in item.answers:
            if answer in told:
                continue
            told.add(answer)
            name = shorten(answer, 40)
            if counts[answer] == 1:
                hint = "give it more examples, or join labels"
                yield _warning(item, f"label {name!r} has one example only", hint)
            elif answer not in trained:
                hint = "no demonstration can show it"
                yield _warning(item, f"label {name!r} never occurs in train", hint)
            twin = first.setdefault(label_key(answer), answer)
            if twin != answer:
                message = f"label {spelled(answer, twin)} is also spelled {spelled(twin, answer)}"
                yield _warning(item, message, "spell a label in one way")
            if item.is_list and mark in answer:
                message = f"label {name!r} holds the separator of labels"
                yield _warning(item, message, "give another `separator`")


def _subset(loaded: LoadedSource, usual: LabelRange | None) -> Iterator[Problem]:
    """Tell of a training task that is to show more labels than it has."""
    own, place = loaded.source.label_subset, Place(loaded.source.source)
    is_single = loaded.family in SINGLE_LABEL
    wanted = usual if own is None and is_single and loaded.source.role == "train" else own
    if not wanted:
        return
    shown = {answer for item in loaded.items.get("train", ()) for answer in item.answers}
    if not is_single:
        message = f"`label_subset` is for one label a row, and {loaded.name} is of family"
        yield Problem(place, f"{message} {loaded.family}", "leave `label_subset` out")
    elif len(shown) < wanted[0]:
        message = f"`label_subset` asks for {wanted[0]} labels, and {loaded.name} has {len(shown)}"
        yield Problem(place, message, "give its table a range that it has, or `false` for all")


def _list_texts(loaded: LoadedSource) -> Iterator[Problem]:
    """Tell once of lists that were written as text and are one label each."""
    labelled = loaded.family in LABELLED
    if loaded.source.family is not None and not labelled:
        return
    items = [
        item
        for item in loaded.all_items()
        if list_in_text(item.example.output) and (labelled or _QUOTE.search(item.example.output))
    ]
    if items:
        answer = shorten(items[0].example.output, 40)
        message = f"{len(items):,} answers are lists written as text, such as {answer}"
        hint = 'family = "multilabel" reads them as several labels'
        yield _warning(items[0], message, hint, "answers that are lists written as text")


def _no_json(loaded: LoadedSource) -> Iterator[Problem]:
    """Tell once of answers that were to have fields and have none."""
    if loaded.family != "extraction":
        return
    items = [item for item in loaded.all_items() if json_in(item.example.output) is None]
    if items:
        answer = shorten(items[0].example.output, 40)
        message = f"{len(items):,} answers are no JSON object or list, such as {answer!r}"
        hint = "they are compared letter for letter"
        yield _warning(items[0], message, hint, "answers that are no JSON")


def _odd_text(loaded: LoadedSource) -> Iterator[Problem]:
    for item in loaded.all_items():
        for text in (item.example.input, item.example.output):
            if len(text) > LONG_TEXT:
                hint = "such a row may not fit an episode"
                yield _warning(item, f"{len(text):,} characters", hint)
            control = _CONTROL.search(text)
            if control:
                hint = "remove it, or check how the file was written"
                message = f"control character 0x{ord(control[0]):02x} in the text"
                yield _warning(item, message, hint, "control character in the text")


def _warning(item: Item, message: str, hint: str, kind: str = "") -> Problem:
    return Problem(item.place, message, hint, "warning", kind)
