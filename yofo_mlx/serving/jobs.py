"""What clients have asked for, on its way through the model's thread and back."""

import queue
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import mlx.core as mx
import numpy as np

from yofo_mlx.errors import Cancelled
from yofo_mlx.serving.models import Conversation, Served
from yofo_mlx.serving.refusals import Refusal
from yofo_mlx.serving.sampling import Sampling
from yofo_mlx.serving.text import GrowingText

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class TokenTold:
    """A token with its log-probability, in nats, and the likeliest ones in its place."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Piece:
    """Text that has become certain, and the tokens since the piece before it."""

    text: str
    told: tuple[TokenTold, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens of a request."""

    prompt: int = 0
    cached: int = 0  # of the prompt: not read for this request
    written: int = 0


@dataclass(frozen=True)
class Finished:
    """The end of an answer."""

    reason: Finish
    usage: Usage


@dataclass(frozen=True)
class Labelled:
    """A text's labels with their probabilities, best first."""

    shares: tuple[tuple[str, float], ...]


Event = Piece | Finished | Labelled | Refusal


@dataclass(eq=False)
class Job:
    """A request whose client waits; satisfies OnChunk, so that a reading stops when it leaves."""

    served: Served
    events: "queue.SimpleQueue[Event]" = field(default_factory=queue.SimpleQueue)
    came: float = field(default_factory=time.monotonic)
    is_over: bool = False
    _left: threading.Event = field(default_factory=threading.Event)

    def leave(self) -> None:
        """Let its work end: nobody waits any more."""
        self._left.set()

    @property
    def is_left(self) -> bool:
        """Tell whether its client is gone."""
        return self._left.is_set()

    def __call__(self, _: int) -> None:
        """Raise Cancelled where nobody waits."""
        if self.is_left:
            raise Cancelled("the client left")

    def fail(self, refusal: Refusal) -> None:
        """End it with an error."""
        self.is_over = True
        self.events.put(refusal)


@dataclass(eq=False, kw_only=True)
class Choosing(Job):
    """Texts to be labelled."""

    texts: Sequence[str]
    labels: Sequence[str] | None


@dataclass(eq=False, kw_only=True)
class Writing(Job):
    """An answer to be written."""

    asked: Conversation | str
    max_tokens: int
    sampling: Sampling
    stops: Sequence[str] = ()
    alternatives: int | None = None  # told of each token; None: no log-probability at all
    companions: Hashable | None = None
    question: list[int] = field(default_factory=list)
    usage: Usage = Usage()
    _untold: list[TokenTold] = field(default_factory=list)

    def begin(self) -> None:
        """Make tokens of what is asked; refuse what does not fit."""
        is_raw = isinstance(self.asked, str)
        question = self.served.going_on(self.asked) if is_raw else self.served.asked(self.asked)  # type: ignore[arg-type]
        self.question, self.pinned = question.tokens, question.pinned
        if question.free is not None:
            self.max_tokens = min(self.max_tokens, question.free)
        self.text = GrowingText(question.form, self.stops)
        self.companions = self.served.companions(self.question)
        self.usage = Usage(question.pinned + len(question.tokens), question.pinned)

    def is_beside(self, other: "Writing") -> bool:
        """Tell whether both may be answered side by side."""
        mine, others = ((one.served, one.companions) for one in (self, other))
        return self.companions is not None and mine == others

    @property
    def ahead(self) -> list[int]:
        """What is to be read before the next token is written."""
        return [*self.question, *self.text.tokens]

    @property
    def place(self) -> int:
        """The place of the next token in the answer."""
        return len(self.text.tokens)

    def found(self, cached: int) -> None:
        """Note how many tokens of the question were there before; later ones are its own."""
        if not self.text.tokens:
            self.usage = Usage(self.usage.prompt, self.pinned + cached)

    def take(self, token: int, logprobs: mx.array) -> None:
        """Go on by a token, with the log-probabilities (V,) of all that could stand there."""
        piece = self.text.add(token)
        is_cut = not self.text.is_ended and self.place >= self.max_tokens
        if self.alternatives is not None and not self.text.is_ended:
            self._untold.append(self._told(token, logprobs, self.alternatives))
        if is_cut:
            piece += self.text.finish()
        if piece or (self._untold and (is_cut or self.text.is_ended)):
            self.events.put(Piece(piece, tuple(self._untold)))
            self._untold.clear()
        if is_cut or self.text.is_ended:
            usage = Usage(self.usage.prompt, self.usage.cached, self.place)
            self.is_over = True
            self.events.put(Finished("length" if is_cut else "stop", usage))

    def _told(self, token: int, logprobs: mx.array, count: int) -> TokenTold:
        values: Any = np.array(logprobs.astype(mx.float32))
        best: list[int] = np.argsort(-values, kind="stable")[:count].tolist()
        named = [(self._name(one), _finite(values[one])) for one in best]
        return TokenTold(self._name(token), _finite(values[token]), tuple(named))

    def _name(self, token: int) -> str:
        return str(self.served.tokenizer.decode([token]))


def _finite(number: float) -> float:
    """Return a number that JSON has: -9999 stands for never, as OpenAI says it."""
    return max(float(number), -9999.0)
