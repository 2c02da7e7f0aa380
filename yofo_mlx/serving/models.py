"""What answers under a name: a model of a session, alone or behind a pinned set."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from yofo_mlx.answering.asking import Chooser
from yofo_mlx.errors import FitError
from yofo_mlx.prompting.context import Context, OnChunk
from yofo_mlx.prompting.prefix import Prefix, common_prefix
from yofo_mlx.serving.refusals import bad
from yofo_mlx.serving.text import Answering, Form, GoingOn
from yofo_mlx.tasks.families import holds_labels
from yofo_mlx.tasks.sources import after
from yofo_mlx.tasks.task import Example

_KEPT = 8  # system texts whose tokens are remembered, and label lists whose trees are

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Conversation:
    """What a client has sent: a system text, turns that are answered, and the query."""

    system: str
    turns: tuple[Example, ...]
    query: str


@dataclass(frozen=True)
class Question:
    """What is read for one answer, behind what is pinned."""

    tokens: list[int]
    form: Form
    free: int | None  # tokens that an answer may have, None: as many as one likes
    pinned: int = 0  # tokens that stand before it in any case


class Aligned(NamedTuple):
    """How many tokens of each question the context holds, and how many it had before."""

    tokens: int
    cached: int


class Served(Protocol):
    """A name that a client may ask; all of it is called by the model's thread alone."""

    name: str
    tokenizer: Any

    @property
    def context(self) -> Context:
        """What answers are written behind."""

    def take_turn(self) -> None:
        """Let its adapter, or none, answer."""

    def asked(self, conversation: Conversation) -> Question:
        """Return what is read for the answer to a conversation."""

    def going_on(self, prompt: str) -> Question:
        """Return what is read to go on with a text."""

    def companions(self, tokens: Sequence[int]) -> Hashable | None:
        """Return what questions share that can be answered side by side, None: nothing."""

    def align(self, questions: Sequence[Sequence[int]], on_chunk: OnChunk) -> Aligned:
        """Have in the context what all these begin with; of each a token is left to be read."""

    def chooser(self, labels: Sequence[str] | None) -> Chooser:
        """Return what chooses among labels, None: those of the demonstrations."""


class _Named:
    """What both kinds share."""

    def __init__(
        self, name: str, prefix: Prefix, tokenizer: Any, take_turn: Callable[[], None]
    ) -> None:
        self.name, self.tokenizer, self.take_turn = name, tokenizer, take_turn
        self._prefix = prefix
        probe = Context(prefix.context.model)
        probe.read(prefix.tokens[:1] or prefix.segmenter.question("x")[:1])
        self._shares = probe.can_pool()
        self._choosers: OrderedDict[tuple[str, ...], Chooser] = OrderedDict()

    def chooser(self, labels: Sequence[str] | None) -> Chooser:
        """Return what chooses among labels, None: those of the demonstrations."""
        if labels is None and not holds_labels(self._prefix.demonstrations):
            raise bad("`labels`: name them, since there are no demonstrations with some", "labels")
        found = labels or [example.output for example in self._prefix.demonstrations]
        names = tuple(dict.fromkeys(label.strip() for label in found))
        if not self._prefix.is_filled:
            self._prefix.fill()
        return _kept(self._choosers, names, lambda: Chooser(self._prefix, names, runners_up=None))


class Pinned(_Named):
    """A set that is read once and stands before every query."""

    @property
    def context(self) -> Context:
        """What answers are written behind: the set."""
        return self._prefix.context

    def asked(self, conversation: Conversation) -> Question:
        """Return a query behind the set; earlier turns are demonstrations of its own."""
        prefix, system = self._prefix, conversation.system
        turns, query = list(conversation.turns), conversation.query
        if system and system != prefix.instruction:  # it cannot come first: the set does
            first = after(system, turns[0] if turns else Example(query, ""))
            if turns:
                turns[0] = first
            else:
                query = first.input
        tokens = prefix.question(query, tail=turns)
        form = Answering(prefix.segmenter, self.tokenizer)
        return Question(tokens, form, prefix.free(tokens), len(prefix.tokens))

    def going_on(self, prompt: str) -> Question:
        """Return a text as a query behind the set."""
        return self.asked(Conversation("", (), prompt))

    def companions(self, tokens: Sequence[int]) -> Hashable | None:
        """Return what questions share that can be answered side by side: the set."""
        return () if self._shares else None

    def align(self, questions: Sequence[Sequence[int]], on_chunk: OnChunk) -> Aligned:
        """See to it that the set is there: a failure may have emptied the context."""
        if not self._prefix.is_filled:
            self._prefix.fill(on_chunk)
        return Aligned(0, 0)


class Plain(_Named):
    """A model without demonstrations; what was read last stays, so that a chat goes on from it."""

    def __init__(
        self, name: str, prefix: Prefix, tokenizer: Any, take_turn: Callable[[], None]
    ) -> None:
        super().__init__(name, prefix, tokenizer, take_turn)
        self.context = Context(prefix.context.model, prefix.context.memory_limit)
        self._instructed: OrderedDict[str, Prefix] = OrderedDict()

    def asked(self, conversation: Conversation) -> Question:
        """Return a whole conversation by the model's template."""
        prefix = _kept(self._instructed, conversation.system, lambda: self._new(conversation))
        question = prefix.question(conversation.query, tail=conversation.turns)
        form = Answering(prefix.segmenter, self.tokenizer)
        return Question([*prefix.tokens, *question], form, prefix.free(question))

    def _new(self, conversation: Conversation) -> Prefix:
        prefix = self._prefix.empty()
        prefix.choose((), conversation.system)
        return prefix

    def going_on(self, prompt: str) -> Question:
        """Return a text as it is, which no template has a say in."""
        tokens = list(self.tokenizer.encode(prompt))
        if not tokens:
            raise bad("`prompt`: it is empty", "prompt")
        limit = self._prefix.limit
        if limit is not None and len(tokens) >= limit:
            wrong = f"the prompt has {len(tokens)} tokens, and the model's context {limit}"
            raise FitError(wrong, "shorten it")
        form = GoingOn(tokens, self.tokenizer, frozenset(self._prefix.segmenter.stops))
        return Question(tokens, form, None if limit is None else limit - len(tokens))

    def companions(self, tokens: Sequence[int]) -> Hashable | None:
        """Return what questions share that can be answered side by side: their first token."""
        return tokens[0] if len(tokens) > 1 and self._shares else None

    def align(self, questions: Sequence[Sequence[int]], on_chunk: OnChunk) -> Aligned:
        """Have in the context what all these begin with; of each a token is left to be read."""
        common = list(questions[0][:-1])
        for question in questions[1:]:
            common = common[: common_prefix(common, question[:-1])]
        there = common_prefix(self.context.tokens, common)
        if not self.context.cut(there):
            self.context.reset()
            there = 0
        self.context.read(common[there:], on_chunk)
        return Aligned(len(common), there)


def _kept(kept: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """Return what is remembered under a key, the latest few of them."""
    if key not in kept:
        kept[key] = make()
    kept.move_to_end(key)
    while len(kept) > _KEPT:
        kept.popitem(last=False)
    return kept[key]
