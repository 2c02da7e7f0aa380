"""Text of demonstrations to tokens, segment by segment.

An episode is `opening + (question + answer) * n`, each piece tokenised on its own: where an answer
begins is stable, and the tokens of k shots are a prefix of the tokens of k+1 shots. Training,
evaluation and prompting all go through here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe import Template

# Letters only, so that no chat template and no tokenizer treats the marks in a special way.
_MARKS = ("YOFOINPUTA", "YOFOOUTPUTA", "YOFOINPUTB", "YOFOOUTPUTB")


class Tokenizer(Protocol):
    """What is asked of a tokenizer; mlx-lm's TokenizerWrapper and transformers' fit."""

    bos_token: str | None
    all_special_tokens: list[str]
    chat_template: Any

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]:
        """Return the tokens of a text."""

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of tokens."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Return the text of a conversation (with `tokenize=False`)."""


@dataclass(frozen=True)
class Frame:
    """The fixed text of an episode, around its inputs and answers."""

    opening: str
    before_first: str  # the first input, after the opening
    before_input: str  # every later input, after an answer's end
    before_answer: str  # what stands between an input and the characters `answer_lead`
    answer_lead: str  # belongs to the answer's segment, such as the space in " label"
    answer_end: str  # ends an answer and is a target: the model must learn to stop


class Segmenter:
    """Turns inputs and answers into tokens, for one model, template and instruction."""

    def __init__(self, tokenizer: Tokenizer, template: Template, instruction: str = "") -> None:
        self._tokenizer = tokenizer
        self._specials = [text for text in tokenizer.all_special_tokens if text]
        self.style = style(tokenizer, template)
        self._frame = (
            _chat_frame(tokenizer, instruction, self._specials)
            if self.style == "chat"
            else _plain_frame(tokenizer, template, instruction)
        )
        self._tail = len(self._frame.answer_end.encode()) + 4
        eos = getattr(tokenizer, "eos_token_ids", ())
        self._eos = frozenset([eos] if isinstance(eos, int) else eos or ())
        self.opening: list[int] = self._plain_encode(self._frame.opening)
        self._adds_space = self._plain_encode("\na")[len(self._plain_encode("\n")) :] != (
            self._plain_encode("a")
        )

        if not self.is_complete(self.answer("x")):
            raise RecipeError(
                f"the tokenizer loses what ends an answer: {self._frame.answer_end!r}",
                "choose others in template.output: without them the model never learns to stop",
            )

    @property
    def first_differs(self) -> bool:
        """Tell whether the first question has tokens of its own."""
        frame = self._frame
        return self._adds_space or frame.before_first != frame.before_input

    def question(self, text: str, *, first: bool = False) -> list[int]:
        """Return the tokens of an input, up to where its answer begins."""
        frame = self._frame
        lead = frame.before_first if first else frame.before_input
        after = frame.opening if first else frame.answer_end
        return self._encode(lead + self._clean(text) + frame.before_answer, after=after)

    def answer(self, text: str) -> list[int]:
        """Return the tokens of an answer and of what ends it: all of them are targets."""
        frame = self._frame
        text, end = self._clean(text), frame.answer_end
        while end in text:  # a blank line inside an answer would end it early
            text = text.replace(end, end[1:] or " ")
        return self._encode(frame.answer_lead + text + end, after=frame.before_answer)

    def is_complete(self, tokens: list[int]) -> bool:
        """Tell whether generated tokens end an answer, or the model ended everything."""
        if tokens and tokens[-1] in self._eos:
            return True
        # The end has at most one token a byte; a whole long answer need not be decoded each time.
        return self._frame.answer_end in self._tokenizer.decode(tokens[-self._tail :])

    def text(self, tokens: list[int]) -> str:
        """Return the answer in generated tokens, without what ends it."""
        if tokens and tokens[-1] in self._eos:
            tokens = tokens[:-1]
        return self._tokenizer.decode(tokens).partition(self._frame.answer_end)[0].strip()

    def _clean(self, text: str) -> str:
        """Break up special tokens in data, so that a row cannot end a turn."""
        text = text.strip()
        for special in self._specials:
            text = text.replace(special, special[:1] + " " + special[1:])
        return text

    def _encode(self, text: str, after: str) -> list[int]:
        """Encode a piece as it would be `after` a text: some tokenizers add a space at a start."""
        if not self._adds_space:
            return self._plain_encode(text)
        anchor = _tail(after, self._specials)
        tokens = self._plain_encode(anchor)
        both = self._plain_encode(anchor + text)
        return both[len(tokens) :] if both[: len(tokens)] == tokens else self._plain_encode(text)

    def _plain_encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False)) if text else []


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


def _plain_frame(tokenizer: Tokenizer, template: Template, instruction: str) -> Frame:
    before_input, _, before_answer = template.input.partition("{input}")
    answer_lead, _, answer_end = template.output.partition("{output}")
    opening = tokenizer.bos_token or ""
    if instruction:
        opening += template.instruction.replace("{instruction}", instruction.strip())
    return Frame(opening, before_input, before_input, before_answer, answer_lead, answer_end)


def _chat_frame(tokenizer: Tokenizer, instruction: str, specials: Iterable[str]) -> Frame:
    """Find the fixed text of a chat template by rendering two turns of marks."""
    turns = [
        {"role": role, "content": mark}
        for role, mark in zip(("user", "assistant") * 2, _MARKS, strict=True)
    ]
    bare = _render(tokenizer, turns)
    if bare is None:
        raise RecipeError(
            "the model's chat template does not keep user and assistant turns in order",
            'set template.style = "plain"',
        )
    opening, before_answer, between, _ = bare
    answer_end = _leading_special(between, specials) or between
    before_input = between.removeprefix(answer_end)
    # A space before the answer belongs to its first word.
    lead = before_answer[len(before_answer.rstrip(" ")) :]
    before_answer = before_answer.removesuffix(lead)
    if instruction:
        opening = _instructed_opening(tokenizer, turns, instruction, opening)
    if before_input and opening.endswith(before_input):
        opening, before_first = opening.removesuffix(before_input), before_input
    else:
        before_first = ""
    return Frame(opening, before_first, before_input, before_answer, lead, answer_end)


def _instructed_opening(
    tokenizer: Tokenizer, turns: list[dict[str, str]], instruction: str, bare: str
) -> str:
    """Return the opening with an instruction: a system turn, else text before the first input."""
    system = {"role": "system", "content": instruction.strip()}
    pieces = _render(tokenizer, [system, *turns])
    if pieces is not None and instruction.strip() in pieces[0]:
        return pieces[0]
    return bare + instruction.strip() + "\n\n"


def _render(tokenizer: Tokenizer, turns: list[dict[str, str]]) -> list[str] | None:
    """Return the text before, between (3) and after the marks, None if a mark is lost or moved."""
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
    except Exception:  # a template raises whatever its author chose
        return None
    pieces = []
    for mark in _MARKS:
        piece, found, text = text.partition(mark)
        if not found:
            return None
        pieces.append(piece)
    return pieces


def _leading_special(text: str, specials: Iterable[str]) -> str:
    """Return the special token a text begins with, and the blanks before it."""
    blanks = text[: len(text) - len(text.lstrip())]
    found = max((s for s in specials if text.startswith(blanks + s)), key=len, default="")
    return blanks + found if found else ""


def _tail(text: str, specials: Iterable[str]) -> str:
    """Return the special token or the character a text ends with."""
    return max((s for s in specials if text.endswith(s)), key=len, default=text[-1:])
