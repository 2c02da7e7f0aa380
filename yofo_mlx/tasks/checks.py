"""What is suspicious about examples that could be read."""

import re
from collections import Counter
from collections.abc import Iterator

from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.problems import Problem, errors
from yofo_mlx.tasks.sources import Loaded
from yofo_mlx.tasks.splits import SPLITS
from yofo_mlx.tasks.task import Family
from yofo_mlx.text import shorten

LONG_TEXT = 100_000

_LABELLED = ("classification", "multilabel", "nli")
_ENTAILMENT = {"entailment", "neutral", "contradiction", "not_entailment"}
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_NUMBER = re.compile(r"(.*####\s*)?-?[\d,.]+", re.DOTALL)


def check(loaded: Loaded) -> list[Problem]:
    """Return every problem of a source: those met while reading, then the suspicious ones."""
    family = loaded.source.family
    if family == "other":
        family = guess_family(list(loaded.all_items()))
    found = list(loaded.problems)
    found += _duplicates(loaded)
    found += _leaks(loaded)
    if family in _LABELLED:
        found += _labels(loaded)
    found += _unlisted(loaded)
    found += _odd_text(loaded)
    return found


def find_errors(loaded: Loaded) -> list[Problem]:
    """Return the problems that stop an import; the quick part of `check`."""
    return errors([*loaded.problems, *_unlisted(loaded)])


def check_held_out(sources: list[Loaded]) -> list[Problem]:
    """Return a warning for every held-out source whose rows are also trained on."""
    owners = {
        item.example.input: loaded.name
        for loaded in sources
        if loaded.source.role == "train"
        for item in loaded.all_items()
    }
    found: list[Problem] = []
    for loaded in sources:
        if loaded.source.role == "held_out":
            shared = [item for item in loaded.all_items() if item.example.input in owners]
            if shared:
                owner = owners[shared[0].example.input]
                message = (
                    f"held-out input that task {owner!r} trains on ({len(shared):,} such rows)"
                )
                found.append(_warning(shared[0], message, "hold out other data"))
    return found


def guess_family(items: list[Item]) -> Family:
    """Guess the kind of task from its examples."""
    if not items:
        return "other"
    if any(item.is_list for item in items):
        return "multilabel"
    answers = Counter(item.example.output for item in items)
    if len(_ENTAILMENT & set(map(str.lower, answers))) > 1:
        return "nli"
    if all(_NUMBER.fullmatch(answer) for answer in answers) and len(answers) > len(items) // 4:
        return "math"
    if _are_labels(answers):
        return "classification"
    read = sum(len(item.example.input) for item in items)
    written = sum(len(item.example.output) for item in items)
    if written > 60 * len(items) and read > 4 * written:
        return "summarization"
    return "qa" if any("?" in item.example.input[-200:] for item in items[:20]) else "other"


def _are_labels(answers: Counter[str]) -> bool:
    """Few, short and repeated answers are taken for labels."""
    total = answers.total()
    few = len(answers) <= max(2, total // 2) and len(answers) < total
    return few and max(map(len, answers)) <= 60


def _duplicates(loaded: Loaded) -> Iterator[Problem]:
    for split in SPLITS:
        first: dict[str, Item] = {}
        for item in loaded.items.get(split, ()):
            twin = first.setdefault(item.example.input, item)
            if twin is item:
                continue
            if twin.example.output == item.example.output:
                message, hint = f"the same row as {twin.place}", "repeated rows are used once"
            else:
                here, there = shorten(item.example.output, 40), shorten(twin.example.output, 40)
                message = f"same input as {twin.place}, other answer: {here!r}, there {there!r}"
                hint = "keep one of them; both stay in use until then"
            yield _warning(item, message, hint)


def _leaks(loaded: Loaded) -> Iterator[Problem]:
    seen: dict[str, tuple[str, Item]] = {}
    for split in SPLITS:
        for item in loaded.items.get(split, ()):
            other = seen.get(item.example.input)
            if other and other[0] != split:
                message = f"{split} input that is also in {other[0]}: {other[1].place}"
                yield _warning(item, message, f"the row in {other[0]} is left out of it")
        for item in loaded.items.get(split, ()):
            seen.setdefault(item.example.input, (split, item))


def _labels(loaded: Loaded) -> Iterator[Problem]:
    items = list(loaded.all_items())
    counts = Counter(answer for item in items for answer in item.answers)
    spelled: dict[str, str] = {}
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
            twin = spelled.setdefault(" ".join(answer.lower().split()), answer)
            if twin != answer:
                message = f"label {name!r} is also spelled {shorten(twin, 40)!r}"
                yield _warning(item, message, "spell a label in one way")


def _unlisted(loaded: Loaded) -> Iterator[Problem]:
    labels = loaded.source.labels
    if not labels:
        return
    known = ", ".join(labels[:12]) + (", ..." if len(labels) > 12 else "")
    for item in loaded.all_items():
        wrong = next((answer for answer in item.answers if answer not in labels), None)
        if wrong is not None:
            message = f"answer {shorten(wrong, 40)!r} is not one of `labels`"
            yield Problem(item.place, message, f"labels: {known}")


def _odd_text(loaded: Loaded) -> Iterator[Problem]:
    for item in loaded.all_items():
        for text in (item.example.input, item.example.output):
            if len(text) > LONG_TEXT:
                hint = "such a row may not fit an episode"
                yield _warning(item, f"{len(text):,} characters", hint)
            control = _CONTROL.search(text)
            if control:
                hint = "remove it, or check how the file was written"
                yield _warning(item, f"control character 0x{ord(control[0]):02x} in the text", hint)


def _warning(item: Item, message: str, hint: str) -> Problem:
    return Problem(item.place, message, hint, "warning")
