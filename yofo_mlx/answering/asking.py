"""Questions to a model behind one prefix: with the likeliest of given labels, or a free text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from yofo_mlx.answering.queries import Query
from yofo_mlx.errors import FitError, RecipeError, YofoError
from yofo_mlx.evaluation.calibration import softmax
from yofo_mlx.evaluation.labels import MOST
from yofo_mlx.prompting.batched import answer_each
from yofo_mlx.prompting.blocks import Blocks
from yofo_mlx.prompting.context import interruptible
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.label_tree import LabelTree, best_each, distribution_each
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.scoring import LabelScore
from yofo_mlx.system.progress import Progress
from yofo_mlx.system.text import shorten

AT_ONCE = 32  # questions side by side
ROWS_AHEAD = 64  # queries looked at for those that take the places of finished ones
BLOCKS_AHEAD = 128  # queries looked at for those that see the same blocks

LABEL_COLUMNS = {"label": str, "probability": float, "runners_up": str, "margin": float}
TEXT_COLUMNS = {"answer": str, "complete": bool}

Entry = dict[str, Any]
Question = Sequence[int]


class Asker(Protocol):
    """Who answers questions, and what of an answer goes into which column."""

    columns: ClassVar[Mapping[str, type]]

    @property
    def prefix(self) -> Prefix:
        """What all questions are asked behind."""

    @property
    def blocks(self) -> Blocks | None:
        """What each question is asked behind some of."""

    @property
    def answer_tokens(self) -> int:
        """Room that an answer must have behind its question."""

    def answers(self, prefix: Prefix, questions: Sequence[Question]) -> Iterator[tuple[int, Entry]]:
        """Yield the place of each question behind a prefix with its answer, as they come."""

    def cells(self, entry: Entry) -> Entry:
        """Return what of an answer is told, by column."""


def ask(asker: Asker, queries: Sequence[Query]) -> Iterator[Entry]:
    """Yield an answer for each query in their order, or why there is none, as they are known."""
    found: dict[int, Entry] = {}
    done = 0
    for place, entry in _answered(asker, queries):
        found[place] = entry
        while done in found:
            yield {"mark": queries[done].mark} | found.pop(done)
            done += 1


def _answered(asker: Asker, queries: Sequence[Query]) -> Iterator[tuple[int, Entry]]:
    """Yield the place of each query with its answer or error, as they come."""
    yield from ((place, {"error": one.error}) for place, one in enumerate(queries) if one.error)
    texts = {place: query.text for place, query in enumerate(queries) if not query.error}
    for prefix, places in _together(asker, texts):
        asked: list[tuple[int, Question]] = []
        for place in places:
            try:
                asked.append((place, prefix.question(texts[place], asker.answer_tokens)))
            except YofoError as error:
                yield place, {"error": error.message}
        for number, entry in asker.answers(prefix, [question for _, question in asked]):
            yield asked[number][0], entry


def _together(asker: Asker, texts: Mapping[int, str]) -> Iterator[tuple[Prefix, list[int]]]:
    """Yield what queries are asked behind, with the places of those that are."""
    if asker.blocks is None:
        yield asker.prefix, [*texts]
        return
    places = [*texts]
    for selection, numbers in asker.blocks.together([*texts.values()]):
        yield asker.blocks.prefix(selection), [places[number] for number in numbers]


@dataclass(frozen=True)
class Chooser:
    """Answers with the likeliest of some labels; of very many only that one is looked for."""

    prefix: Prefix
    labels: tuple[str, ...]
    runners_up: int | None = 3  # None: all of them
    temperature: float = 1.0
    blocks: Blocks | None = None
    columns: ClassVar[Mapping[str, type]] = LABEL_COLUMNS

    def __post_init__(self) -> None:
        """Refuse labels that cannot be compared."""
        if len(self.labels) < 2:
            wrong = f"there is nothing to choose among: the labels are {_listed(self.labels)}"
            raise RecipeError(wrong, "give `--labels 'a|b'`, or demonstrations of several labels")
        self._check_distinct()
        self._check_room()

    @cached_property
    def answer_tokens(self) -> int:
        """Room that the longest label takes."""
        return max(len(answer) for answer in self._answers)

    @property
    def is_compared(self) -> bool:
        """Tell whether each label has a probability among all of them."""
        return len(self.labels) <= MOST

    def answers(self, prefix: Prefix, questions: Sequence[Question]) -> Iterator[tuple[int, Entry]]:
        """Yield the label of each question, with its probability.

        Among all labels; of more than are compared, among all texts that the model could write.
        """
        pair = prefix.context, prefix.segmenter
        asked = *pair, questions, self._tree, AT_ONCE, interruptible
        if not self.is_compared:
            for place, best in best_each(*asked):
                share = float(np.exp(best.logprob))
                known = {"label": best.label, "probability": share, "plain": share}
                yield place, known | {"runners_up": None, "margin": None}
            return
        for place, scores in distribution_each(*asked):
            yield place, self._entry(scores)

    def cells(self, entry: Entry) -> Entry:
        """Return label, probability, those that come next, and how far the second is behind."""
        return {name: _rounded(entry[name]) for name in self.columns}

    def at(self, temperature: float) -> "Chooser":
        """Return one whose probabilities are at a temperature."""
        return replace(self, temperature=temperature)

    def _entry(self, scores: Sequence[LabelScore]) -> Entry:
        logprobs = np.array([one.logprob for one in scores])
        shares = softmax(logprobs / self.temperature)
        next_ones = zip(scores[1:], shares[1:], strict=True)
        return {
            "label": scores[0].label,
            "probability": float(shares[0]),
            "runners_up": [[one.label, float(share)] for one, share in next_ones][
                : self.runners_up
            ],
            "margin": float(shares[0] - shares[1]),
            "plain": float(softmax(logprobs)[0]),  # as it is without a temperature
        }

    @cached_property
    def _tree(self) -> LabelTree:
        return LabelTree.grown(self.labels, self._answers)

    @cached_property
    def _answers(self) -> list[list[int]]:
        answers: list[list[int]] = []
        with Progress("labels read", len(self.labels)) as progress:
            for label in self.labels:
                answers.append(self.prefix.segmenter.answer(label))
                progress.tick()
        return answers

    def _check_distinct(self) -> None:
        known: dict[tuple[int, ...], str] = {}
        for label, answer in zip(self.labels, self._answers, strict=True):
            other = known.setdefault(tuple(answer), label)
            if other != label:
                wrong = f"the model reads two labels alike: {_listed((other, label))}"
                raise RecipeError(wrong, "rename one of them, in the demonstrations as well")

    def _check_room(self) -> None:
        free = self.prefix.free(())
        if free is not None and free <= self.answer_tokens:
            lengths = [*map(len, self._answers)]
            longest = self.labels[lengths.index(max(lengths))]
            raise FitError(
                f"label {shorten(longest, 60)!r} has {self.answer_tokens} tokens, and behind the"
                f" demonstrations there is room for {max(0, free)}",
                "use fewer demonstrations (`--shots`), or shorter labels",
            )


@dataclass(frozen=True)
class Writer:
    """Answers with a text of the model's own."""

    prefix: Prefix
    max_tokens: int
    blocks: Blocks | None = None
    columns: ClassVar[Mapping[str, type]] = TEXT_COLUMNS
    answer_tokens: ClassVar[int] = 1

    def answers(self, prefix: Prefix, questions: Sequence[Question]) -> Iterator[tuple[int, Entry]]:
        """Yield the greedy answer to each question; one is not complete where room ends."""
        context, segmenter = prefix.context, prefix.segmenter
        rooms = [prefix.free(question) for question in questions]
        wide = [n for n, room in enumerate(rooms) if room is None or room >= self.max_tokens]
        asked = [questions[place] for place in wide]
        at_once = min(AT_ONCE, max(1, len(asked)))
        limits = {"max_tokens": self.max_tokens, "at_once": at_once}
        found = answer_each(context, segmenter, asked, **limits, on_chunk=interruptible)
        for number, written in found:
            yield wide[number], {"answer": written.text, "complete": written.is_complete}
        for place in sorted({*range(len(questions))} - {*wide}):
            answer = generate(context, segmenter, questions[place], max_tokens=rooms[place] or 1)
            yield place, {"answer": answer.text, "complete": answer.finish == "end"}

    def cells(self, entry: Entry) -> Entry:
        """Return the answer, and whether it came to its end."""
        return entry


def _rounded(value: Any) -> Any:
    """Return shares with the figures that mean something."""
    if isinstance(value, list):
        return [[label, _rounded(share)] for label, share in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(repr(shorten(label, 60)) for label in labels[:5]) or "none"


def log_shares(scores: Sequence[LabelScore], label: str) -> tuple[npt.NDArray[np.float64], int]:
    """Return the log-probabilities of labels, and the place of the right one."""
    names = [one.label for one in scores]
    return np.array([one.logprob for one in scores]), names.index(label)
