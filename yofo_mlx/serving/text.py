"""An answer's text as it grows: handed out in pieces that later tokens cannot change."""

from collections.abc import Sequence
from typing import Any, Protocol

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting.generation import UNKNOWN

_LOOKED_BACK = 4  # tokens before a text that goes on: they decide about a space between


class Form(Protocol):
    """How tokens become the text of an answer, and how it ends by itself."""

    @property
    def ends(self) -> Sequence[str]:
        """Texts that end an answer."""

    def is_complete(self, tokens: list[int]) -> bool:
        """Tell whether the model has ended its answer."""

    def text(self, tokens: list[int]) -> str:
        """Return the text that tokens say so far."""


class Answering:
    """The answer to a query: without blanks around it, as in a session."""

    def __init__(self, segmenter: Segmenter, tokenizer: Any) -> None:
        self._segmenter, self._tokenizer = segmenter, tokenizer
        self.is_complete = segmenter.is_complete
        self.ends = [segmenter.end_text] if segmenter.end_text else []

    def text(self, tokens: list[int]) -> str:
        """Return the text that tokens say so far; blanks at its end may be its end's."""
        stops = self._segmenter.stops
        stop = next((at for at, token in enumerate(tokens) if token in stops), len(tokens))
        text: str = self._tokenizer.decode(tokens[:stop])
        for end in self.ends:
            text = text.partition(end)[0]
        return text.lstrip()


class GoingOn:
    """A text that goes on after a prompt, blanks included."""

    ends: Sequence[str] = ()

    def __init__(self, prompt: Sequence[int], tokenizer: Any, stops: frozenset[int]) -> None:
        self._tokenizer, self._stops = tokenizer, stops
        self._before = list(prompt[-_LOOKED_BACK:])
        self._skipped = len(tokenizer.decode(self._before))

    def is_complete(self, tokens: list[int]) -> bool:
        """Tell whether the model has ended its answer."""
        return tokens[-1] in self._stops

    def text(self, tokens: list[int]) -> str:
        """Return the text that tokens say so far."""
        said = tokens[:-1] if tokens and tokens[-1] in self._stops else tokens
        text: str = self._tokenizer.decode(self._before + said)
        return text[self._skipped :]


class GrowingText:
    """The text of an answer up to its end, or up to where a stop sequence begins."""

    def __init__(self, form: Form, stops: Sequence[str] = ()) -> None:
        self._form, self._stops = form, stops
        self._strips = isinstance(form, Answering)
        self.tokens: list[int] = []
        self.is_ended = False
        self.shown = ""

    def add(self, token: int) -> str:
        """Take a token; return the text that has become certain."""
        self.tokens.append(token)
        text = self._form.text(self.tokens)
        self.is_ended = self._form.is_complete(self.tokens)
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_ended, text = True, text[: min(places)]
        return self._show(text if self.is_ended else self._certain(text))

    def finish(self) -> str:
        """Return what was held back of a text that is cut off."""
        return "" if self.is_ended or not self.tokens else self._show(self._form.text(self.tokens))

    def _certain(self, text: str) -> str:
        """Leave out what may be the beginning of what ends it, or of a character."""
        text = text.rstrip(UNKNOWN)
        ends = [*self._stops, *self._form.ends]
        longest = max(map(len, ends), default=1) - 1
        sizes = range(min(longest, len(text)), 0, -1)
        held = next((n for n in sizes if any(end.startswith(text[-n:]) for end in ends)), 0)
        return text[: len(text) - held]

    def _show(self, text: str) -> str:
        text = text.rstrip(UNKNOWN)
        text = text.rstrip() if self._strips else text
        if not text.startswith(self.shown):
            return ""
        piece, self.shown = text[len(self.shown) :], text
        return piece
