"""The demonstrations in the context: chosen to fit, read once, kept between queries."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from yofo_mlx.episodes.sampler import Episode, tokenize
from yofo_mlx.episodes.segments import Segmenter, check_direct
from yofo_mlx.errors import DataError, FitError
from yofo_mlx.prompting.context import Context, OnChunk, ignore
from yofo_mlx.prompting.readings import Expected, Watch, noted
from yofo_mlx.prompting.selection import least_room
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.families import holds_labels
from yofo_mlx.tasks.task import Example

LEAD = (16, 240)  # tokens read first, of many: the machine wakes up, then its speed is seen


@dataclass(frozen=True)
class Reuse:
    """How many tokens of an earlier prefix still serve, and why not more."""

    tokens: int
    note: str = ""


class Tails(Protocol):
    """What chooses demonstrations that a single query sees, after those that all of them see."""

    @property
    def note(self) -> str:
        """What a user is told of it once."""

    def tail(self, query: str, on_chunk: OnChunk = ignore) -> Sequence[Example]:
        """Return them in the order they are shown."""


class Prefix:
    """Demonstrations as tokens, and how much of them the context holds."""

    def __init__(
        self, context: Context, tokenizer: Any, template: Template, limit: int | None
    ) -> None:
        """`limit` is the model's own context length in tokens, None if it is unknown."""
        self.context, self.limit = context, limit
        self._tokenizer, self._template = tokenizer, template
        self.tails: Tails | None = None
        self.choose((), "")

    def choose(self, demonstrations: Sequence[Example], instruction: str) -> Reuse:
        """Take these demonstrations instead of the present ones; `fill` then reads them."""
        segmenter = self.segmenter_of(instruction)
        episode = Episode("", list(segmenter.opening))
        room = self._room()
        if room is not None and len(episode.tokens) > room:
            raise FitError(
                f"the instruction has {len(episode.tokens)} tokens, but the model's context"
                f" {self.limit}",
                "shorten the instruction",
            )
        fitting = [one for one in demonstrations if episode.add(tokenize(segmenter, one), room)]
        self.segmenter, self.instruction = segmenter, instruction
        self.tokens, self.demonstrations = episode.tokens, fitting
        self.answers = episode.answers
        self.left_out = len(demonstrations) - len(fitting)
        self.altered = sum(segmenter.alters(example.output) for example in fitting)
        return self.reuse()

    def empty(self) -> "Prefix":
        """Return one of the same model that holds nothing."""
        context = Context(self.context.model, self.context.memory_limit)
        return Prefix(context, self._tokenizer, self._template, self.limit)

    def segmenter_of(self, instruction: str) -> Segmenter:
        """Return what makes tokens of demonstrations behind an instruction."""
        check_direct(self._template)
        return Segmenter(self._tokenizer, self._template, instruction)

    @property
    def is_filled(self) -> bool:
        """Tell whether the context holds all demonstrations."""
        return self.context.tokens == self.tokens

    @property
    def shots_read(self) -> int | None:
        """Return how many are read, None if the context cannot be cut back to just these."""
        held = len(self.context.tokens)
        read = bisect_right(self.answers, held, key=lambda answer: answer[1])
        return read if read == len(self.answers) or self.context.can_be_cut else None

    @property
    def answers_known(self) -> int:
        """Return how many demonstrations, from the first on, the readings tell of."""
        known = self.context.readings
        return next(
            (at for at, span in enumerate(self.answers) if not all(map(known.get, noted(span)))),
            len(self.answers),
        )

    def expected(self, at: int) -> list[Expected]:
        """Return what the model expected at the tokens that are noted of an answer."""
        return [self.context.readings[place] for place in noted(self.answers[at])]

    def forget_unknown(self) -> None:
        """Let `fill` read again, with readings, from the first answer on that has none."""
        if (at := self.answers_known) < len(self.answers) and self.context.tells_rows:
            self._cut(self.answers[at][0] - 1)

    def fill(self, on_chunk: OnChunk = ignore) -> None:
        """Read what the context still lacks; what a cancel leaves over is read by the next call."""
        ahead = self.tokens[len(self.context.tokens) :]
        lead = LEAD if len(ahead) > 2 * sum(LEAD) else ()
        self.context.read(ahead, on_chunk, lead, self._watch())

    def _watch(self) -> Watch:
        """Ask, where answers are labels, for the other labels at each of them as well."""
        are_labels = holds_labels(self.demonstrations)
        labels = {tuple(self.tokens[start:end]) for start, end in self.answers if are_labels}
        return Watch(self.tokens, self.answers, labels if len(labels) > 1 else ())

    def tail(
        self, text: str, answer_tokens: int = 1, on_chunk: OnChunk = ignore
    ) -> Sequence[Example]:
        """Return the demonstrations that only this query sees; the others have to be read."""
        chosen = self.tails.tail(text, on_chunk) if self.tails and text.strip() else ()
        return self.fitting(text, answer_tokens, chosen)

    def fitting(self, text: str, answer_tokens: int, tail: Sequence[Example]) -> Sequence[Example]:
        """Return the last ones of a query's own demonstrations, as many as there is room for."""
        free = self.free(self.segmenter.question(text)) if tail else None
        if free is None:
            return tail
        lengths = [tokenize(self.segmenter, example).alone for example in reversed(tail)]
        taken = [*accumulate(lengths, initial=answer_tokens)]
        count = sum(tokens <= free for tokens in taken) - 1
        return tail[len(tail) - max(0, count) :]

    def question(
        self, text: str, answer_tokens: int = 1, tail: Sequence[Example] | None = None
    ) -> list[int]:
        """Return a query's tokens; refuse one that leaves no room for so long an answer.

        They begin with the demonstrations that only this query sees, `tail` or what `self.tail` is.
        """
        if not text.strip():
            raise DataError("the query is empty", "write the input that wants an answer")
        tail = self.tail(text, answer_tokens) if tail is None else tail
        question = tokens_of(self.segmenter, tail, is_first=not self.demonstrations)
        question += self.segmenter.question(text, first=not (self.demonstrations or tail))
        free = self.free(question)
        if free is not None and free < answer_tokens:
            raise FitError(
                f"the query ({len(question)} tokens) and its answer do not fit: the demonstrations"
                f" take {len(self.tokens)} of the model's context of {self.limit} tokens",
                "shorten the query, or use fewer demonstrations",
            )
        return question

    def free(self, question: Sequence[int]) -> int | None:
        """Return how many tokens of the model's context are left for an answer."""
        return None if self.limit is None else self.limit - len(self.tokens) - len(question)

    def _room(self) -> int | None:
        """Return how many tokens the demonstrations may take."""
        return None if self.limit is None else self.limit - least_room(self.limit)

    def reuse(self) -> Reuse:
        """Cut the context down to what it shares with the new tokens."""
        held = len(self.context.tokens)
        common = common_prefix(self.context.tokens, self.tokens)
        within = next((start for start, end in self.answers if start <= common < end), None)
        if within is not None and self.context.can_be_cut:
            common = within - 1  # where it begins to differ nothing was noted of the new answer
        if self._cut(common):
            return Reuse(common)
        return Reuse(
            0,
            f"{held} tokens are read again: this model's cache (sliding window or recurrent state)"
            " can be extended but not shortened",
        )

    def _cut(self, length: int) -> bool:
        """Keep the first tokens of the context, or nothing (False) where that cannot be."""
        if self.context.cut(length):
            return True
        self.context.reset()
        return False


def tokens_of(segmenter: Segmenter, examples: Sequence[Example], *, is_first: bool) -> list[int]:
    """Return the tokens of demonstrations; the first of all begins in another way."""
    tokens: list[int] = []
    for example in examples:
        shot = tokenize(segmenter, example)
        tokens += [*(shot.first if is_first else shot.later), *shot.answer]
        is_first = False
    return tokens


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the longest common prefix."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
