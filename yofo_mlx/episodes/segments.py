"""Text of demonstrations to tokens, segment by segment.

An episode is `opening + (question + answer) * n`, each piece tokenised on its own: where an answer
begins is stable, and the tokens of k shots are a prefix of the tokens of k+1 shots. Training,
evaluation and prompting all go through here.

Data is text: what in it looks like one of the model's markers becomes the tokens of its letters,
never the control token, so that no row can end a turn or open one.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, Protocol

from yofo_mlx.episodes.frames import Frame, chat_frame, plain_frame
from yofo_mlx.episodes.markers import begin_ids, end_ids, find_markers
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import Template


class Tokenizer(Protocol):
    """What is asked of a tokenizer; mlx-lm's TokenizerWrapper and transformers' fit."""

    all_special_tokens: list[str]
    chat_template: Any

    encode: Any
    """Return the tokens of a text; its own object is called with a list of texts."""

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of tokens."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Return the text of a conversation (with `tokenize=False`)."""


class Segmenter:
    """Turns inputs and answers into tokens, for one model, template and instruction."""

    def __init__(self, tokenizer: Tokenizer, template: Template, instruction: str = "") -> None:
        self._tokenizer = tokenizer
        self.channel = template.channel
        self.style = style(tokenizer, template)
        instruction = instruction.strip()
        begin: list[int] = []
        if self.style == "chat":
            self._frame, self._markers = chat_frame(tokenizer, instruction, template.date)
        else:
            self._frame, self._markers = plain_frame(template, instruction), find_markers(tokenizer)
            begin = begin_ids(tokenizer)
        self._controls = frozenset(self._markers.values())
        self._first = re.compile("|".join(sorted({re.escape(m[0]) for m in self._markers})) or "$^")
        self._lengths = sorted({len(marker) for marker in self._markers})
        self._letters = [marker for marker in self._markers if len(marker) == 1]
        self._known: dict[tuple[str, str, str], list[int]] = {}
        self._anchors: dict[str, tuple[str, list[int]]] = {}
        # Some tokenizers put a space before all that they encode, also where a text goes on.
        end, both, alone = self._plain_encode(["\n", "\na", "a"])
        self._adds_space = both[len(end) :] != alone
        if self._adds_space:
            self._frame = self._with_single_spaces(self._frame)
        frame = self._frame
        ends = self._controls_in(self._plain_encode([frame.answer_end])[0])
        self.stops = end_ids(tokenizer) | frozenset(ends[:1])
        self.end_text = "" if ends else frame.answer_end
        self._tail = len(frame.answer_end.encode()) + 4
        said = [self._clean(instruction)]
        self.opening: list[int] = (
            begin + self._encode(frame.opening, said, frame.after_instruction, after="")[0]
        )
        # Of the instruction one letter is enough: what it ends with is no marker.
        self._opening_text = frame.opening + frame.instruction[-1:] + frame.after_instruction

        if not self.is_complete(self.answer("x")):
            raise RecipeError(
                f"the tokenizer loses what ends an answer: {frame.answer_end!r}",
                "choose another in template.output: without it the model never learns to stop",
            )

    @property
    def first_lead(self) -> tuple[str, str]:
        """Return what stands before the first question and has a say in its tokens."""
        return self._anchor(self._opening_text)[0], self._frame.before_first

    @property
    def first_differs(self) -> bool:
        """Tell whether the first question has tokens of its own."""
        frame = self._frame
        return self.first_lead != (self._anchor(frame.answer_end)[0], frame.before_input)

    def question(self, text: str, *, first: bool = False) -> list[int]:
        """Return the tokens of an input, up to where its answer begins."""
        return self.questions([text], first=first)[0]

    def questions(self, texts: Iterable[str], *, first: bool = False) -> list[list[int]]:
        """Return the tokens of inputs: at once, in half the time and on all cores."""
        frame = self._frame
        lead = frame.before_first if first else frame.before_input
        after = self._opening_text if first else frame.answer_end
        return self._encode(lead, list(map(self._clean, texts)), frame.before_answer, after=after)

    def answer(self, text: str) -> list[int]:
        """Return the tokens of an answer and of what ends it: all of them are targets."""
        return self.answers([text])[0]

    def answers(self, texts: Iterable[str]) -> list[list[int]]:
        """Return the tokens of answers, each with what ends it."""
        frame = self._frame
        bodies = list(map(self._body, texts))
        return self._encode(frame.answer_lead, bodies, frame.answer_end, after=frame.before_answer)

    def holds_marker(self, text: str) -> bool:
        """Tell whether data holds what would be a control token, were it not read as text."""
        return next(self._places(text), None) is not None

    def alters(self, answer: str) -> bool:
        """Tell whether an answer has to be changed, since it holds what ends an answer."""
        return self._body(answer) != answer.strip()

    def cleans(self, text: str) -> bool:
        """Tell whether data has to be changed, since it holds a marker of one letter."""
        return self._clean(text) != text.strip()

    def is_complete(self, tokens: list[int]) -> bool:
        """Tell whether generated tokens end an answer, or the model ended everything."""
        # The end has at most one token a byte; a whole long answer need not be looked at each time.
        latest = tokens[-self._tail :]
        if not self.stops.isdisjoint(latest):
            return True
        return bool(self.end_text) and self.end_text in self._tokenizer.decode(latest)

    def ends_as(self, tokens: list[int], answer: list[int]) -> bool:
        """Tell whether tokens end, in whatever way, an answer that says the same."""
        return self.is_complete(tokens) and self.text(tokens) == self.text(answer)

    def text(self, tokens: list[int]) -> str:
        """Return the answer in generated tokens, without what ends it."""
        stop = next((at for at, token in enumerate(tokens) if token in self.stops), len(tokens))
        text = self._tokenizer.decode(tokens[:stop])
        return (text.partition(self.end_text)[0] if self.end_text else text).strip()

    def said(self, answer: str) -> str:
        """Return what an answer reads as when a model writes it.

        That is another text where it holds what ends an answer, or what the tokenizer normalises.
        """
        return self.text(self.answer(answer))

    @property
    def fixed_ids(self) -> set[int]:
        """Return the tokens that every episode holds, whatever its data."""
        first, later = self.question("x", first=True), self.question("x")
        return {*self.opening, *first, *later, *self.answer("x")}

    def _with_single_spaces(self, frame: Frame) -> Frame:
        """Leave a space after a marker out where the tokenizer adds one by itself.

        Mistral's own tokenizer has one there; old conversions of it would have two.
        """
        fixed = "".join([frame.opening, frame.before_input, frame.before_answer, frame.answer_end])
        bare = self._plain_encode(["a"])[0]
        doubling = [m for m in self._markers if m in fixed and self._place("a", m) == bare]

        def single(text: str, after: str = "") -> str:
            for marker in doubling:
                text = text.replace(f"{marker} ", marker)
            return text.removeprefix(" ") if _ending(after, doubling) else text

        opening = single(frame.opening)
        return replace(
            frame,
            opening=opening,
            before_first=single(frame.before_first, opening),
            before_input=single(frame.before_input, frame.answer_end),
            before_answer=single(frame.before_answer),
            answer_lead=single(frame.answer_lead, frame.before_answer),
        )

    def _clean(self, text: str) -> str:
        """Return data without blanks around it; a marker of one letter cannot be spelled."""
        for marker in self._letters:
            text = text.replace(marker, " ")
        return text.strip()

    def _body(self, text: str) -> str:
        """Return an answer without what ends one, such as a blank line: it would end early."""
        text, end = self._clean(text), self.end_text
        while end and (place := (text + end).find(end)) < len(text):
            # Shorter each time, or with fewer ends of one letter: this ends.
            text = text[:place] + (" " if len(end) == 1 else "") + text[place + 1 :]
        return text

    def _encode(self, before: str, texts: list[str], behind: str, after: str) -> list[list[int]]:
        """Encode data, each with the fixed text around it; only that may give control tokens."""
        expected = self._expected(before, behind, after)
        pieces = self._placed([before + text + behind for text in texts], after)
        return [
            tokens  # nearly always: the data holds no marker
            if self._controls_in(tokens) == expected
            else self._cut(before, text, behind, after)
            for text, tokens in zip(texts, pieces, strict=True)
        ]

    def _cut(self, before: str, text: str, behind: str, after: str) -> list[int]:
        """Encode data that holds markers in parts, each of which holds none."""
        whole, start = before + text + behind, len(before)
        cuts = self._cuts(whole, start, start + len(text))
        tokens = self._encode_parts(_split(whole, cuts), after)
        if self._controls_in(tokens) != self._expected(before, behind, after):
            # Markers that a normalisation makes.
            cuts = set(range(start, start + len(text) + 1))
            tokens = self._encode_parts(_split(whole, cuts), after)
        return tokens

    def _expected(self, before: str, behind: str, after: str) -> list[int]:
        """Return the control tokens that a piece has by its fixed text."""
        key = before, behind, after
        if key not in self._known:
            self._known[key] = self._controls_in(self._place(before + "x" + behind, after))
        return self._known[key]

    def _cuts(self, whole: str, start: int, end: int) -> set[int]:
        """Return places inside the data whole[start:end] that cut every marker in two."""
        return {max(a + 1, start) for a, b in self._places(whole) if a < end and start < b}

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where markers begin and end in a text; they may overlap."""
        for found in self._first.finditer(text):
            for length in self._lengths:
                if text[found.start() : found.start() + length] in self._markers:
                    yield found.start(), found.start() + length

    def _encode_parts(self, parts: Iterable[str], after: str) -> list[int]:
        tokens: list[int] = []
        for part in parts:
            tokens += self._place(part, after)
            after = "\n"  # what really stands before would make a marker of both
        return tokens

    def _place(self, text: str, after: str) -> list[int]:
        return self._placed([text], after)[0]

    def _placed(self, texts: list[str], after: str) -> list[list[int]]:
        """Encode pieces, each as it would be `after` a text, which may cost or earn it a space."""
        # What is encoded alone would be begun like a text; so it is encoded with what it follows.
        anchor, ahead = self._anchor(after)
        found = self._plain_encode([anchor + text for text in texts])
        return [
            both[len(ahead) :] if both[: len(ahead)] == ahead else self._plain_encode([text])[0]
            for text, both in zip(texts, found, strict=True)
        ]

    def _anchor(self, after: str) -> tuple[str, list[int]]:
        """Return the end of a text that matters to what follows, mostly nothing, and its tokens.

        That is the marker it ends with, which may swallow blanks, or else its last character.
        """
        if after not in self._anchors:
            marker = _ending(after.rstrip(), self._markers)
            blanks = after[len(after.rstrip()) :]
            anchor = marker + blanks if marker else after[-1:] if self._adds_space else ""
            self._anchors[after] = anchor, self._plain_encode([anchor])[0]
        return self._anchors[after]

    def _controls_in(self, tokens: list[int]) -> list[int]:
        return [token for token in tokens if token in self._controls]

    def _plain_encode(self, texts: list[str]) -> list[list[int]]:
        some = [text for text in texts if text]
        if not some:
            return [[] for _ in texts]
        # mlx-lm's wrapper gives names of the tokenizer within, whose calls take many texts.
        within = self._tokenizer.encode.__self__
        ids = iter(within(some, add_special_tokens=False)["input_ids"])
        return [list(next(ids)) if text else [] for text in texts]


def check_direct(template: Template) -> None:
    """Refuse to ask what has learned to say inputs."""
    if template.channel:
        raise RecipeError(
            "template.channel is on: such an adapter says inputs, not answers",
            "measure it with `yofo eval`; to ask it, train without template.channel",
        )


def style(tokenizer: Tokenizer, template: Template) -> Literal["chat", "plain"]:
    """Return the template style in use for a tokenizer."""
    has_chat = bool(getattr(tokenizer, "has_chat_template", tokenizer.chat_template))
    if template.style == "auto":
        return "chat" if has_chat else "plain"
    if template.style == "chat" and not has_chat:
        raise RecipeError(
            "template.style is `chat`, but the model has no chat template",
            'set template.style = "plain" (base models), or take an instruct model',
        )
    return template.style


def _ending(text: str, markers: Iterable[str]) -> str:
    """Return the longest marker that a text ends with, mostly none."""
    return max((marker for marker in markers if text.endswith(marker)), key=len, default="")


def _split(text: str, cuts: set[int]) -> list[str]:
    """Return the parts of a text between the places where it is cut."""
    edges = [0, *sorted(cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges) if a < b]
