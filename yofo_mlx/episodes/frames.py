"""The fixed text around inputs and answers, as a chat template or a recipe writes it."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import takewhile
from typing import Any

from yofo_mlx.episodes.markers import find_markers
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import Template
from yofo_mlx.system.text import reason, shorten

# Letters only, so that no chat template and no tokenizer treats the marks in a special way; of both
# cases, so that a template which changes the case of what is said is seen to do so.
_SYSTEM = "YofoSystem"
_MARKS = [f"Yofo{kind}{turn}" for turn in "ABC" for kind in ("Input", "Output")]
_PLAIN = 'set template.style = "plain"'


@dataclass(frozen=True)
class Frame:
    """The fixed text of an episode; only `instruction` is data."""

    opening: str
    instruction: str
    after_instruction: str
    before_first: str  # the first input, after the opening
    before_input: str  # every later input, after an answer's end
    before_answer: str  # what stands between an input and the characters `answer_lead`
    answer_lead: str  # belongs to the answer's segment, such as the space in " label"
    answer_end: str  # ends an answer and is a target: the model must learn to stop


def plain_frame(template: Template, instruction: str) -> Frame:
    """Return the frame that a recipe's template writes."""
    before_input, _, before_answer = template.input.partition("{input}")
    lead, _, answer_end = template.output.partition("{output}")
    # Text before the answer is no part of it; a space there belongs to its first word.
    lead, answer_lead = _split_spaces(lead)
    opening, _, after = template.instruction.partition("{instruction}")
    if not instruction:
        opening = after = ""
    return Frame(
        opening,
        instruction,
        after,
        before_first=before_input,
        before_input=before_input,
        before_answer=before_answer + lead,
        answer_lead=answer_lead,
        answer_end=answer_end,
    )


def chat_frame(tokenizer: Any, instruction: str, date: str) -> tuple[Frame, dict[str, int]]:
    """Return the frame that a chat template writes, and the markers of its tokenizer."""
    opening, before_answer, between, last = _turns(tokenizer, date)
    markers = find_markers(tokenizer, before_answer + between)
    answer_end = _end(between, last, opening, markers)
    before_input = between.removeprefix(answer_end)
    # A space before the answer belongs to its first word.
    before_answer, lead = _split_spaces(before_answer)
    after = ""
    if instruction:
        opening, after = _instructed(tokenizer, opening, date)
    last_piece = after if instruction else opening
    if before_input and last_piece.endswith(before_input):
        last_piece, before_first = last_piece.removesuffix(before_input), before_input
    else:
        last_piece, before_first = _split_spaces(last_piece)
    opening, after = (opening, last_piece) if instruction else (last_piece, "")
    frame = Frame(
        opening,
        instruction,
        after,
        before_first=before_first,
        before_input=before_input,
        before_answer=before_answer,
        answer_lead=lead,
        answer_end=answer_end,
    )
    return frame, markers


def _turns(tokenizer: Any, date: str) -> tuple[str, str, str, str]:
    """Return what stands before a conversation, before an answer, after it, after the last one.

    The last turn may be written differently, with a block for thinking or another end: the text
    around the others counts, since an episode goes on.
    """
    pieces = _render(tokenizer, [], date)
    opening, before_answer, between, before_next, after_next, _, last = pieces
    if (before_answer, between) != (before_next, after_next):
        raise RecipeError("the model's chat template writes each turn in another way", _PLAIN)
    return opening, before_answer, between, last


def _end(between: str, last: str, opening: str, markers: Iterable[str]) -> str:
    """Return what ends an answer, of the text up to the next input.

    That is its first marker; without one, what is also written after the last answer, or the
    blanks before the next turn.
    """
    found = _first_marker(between, markers)
    head, marker, _ = between.partition(found) if found else ("", "", "")
    if marker and (not head.strip() or last.startswith(head + marker)):
        return head + marker
    # What also opens the first turn belongs to the next one, not to the end of an answer.
    header = _common_prefix(opening[::-1], between[::-1])[::-1]
    text = _common_prefix(between.removesuffix(header), last)
    text = text or between[: len(between) - len(between.lstrip())]
    if not text.strip() and "\n" not in text:
        between = shorten(between, 60)
        raise RecipeError(
            f"nothing in the model's chat template ends an answer ({between!r} follows it)", _PLAIN
        )
    return text


def _first_marker(text: str, markers: Iterable[str]) -> str:
    """Return the marker that begins first in a text, the longest of those; empty if none does."""
    places = [(text.find(marker), -len(marker), marker) for marker in markers]
    return min((place for place in places if place[0] >= 0), default=(0, 0, ""))[2]


def _common_prefix(one: str, other: str) -> str:
    pairs = zip(one, other, strict=False)
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _split_spaces(text: str) -> tuple[str, str]:
    """Return a text and the spaces it ends with."""
    bare = text.rstrip(" ")
    return bare, text[len(bare) :]


def _instructed(tokenizer: Any, bare: str, date: str) -> tuple[str, str]:
    """Return what stands before and after an instruction, up to the first input.

    It is a system turn; where the template has none, text before the first input.
    """
    try:
        system = _render(tokenizer, [{"role": "system", "content": _SYSTEM}], date)[0]
    except RecipeError:
        system = ""
    if system.count(_SYSTEM) == 1:
        before, _, after = system.partition(_SYSTEM)
        return before, after
    return bare, "\n\n"


def _render(tokenizer: Any, system: list[dict[str, str]], date: str) -> list[str]:
    """Return the text before, between (5) and after the marks of three turns."""
    roles = ("user", "assistant") * 3
    turns = [{"role": r, "content": m} for r, m in zip(roles, _MARKS, strict=True)]
    try:
        with _on(date):
            text = tokenizer.apply_chat_template(
                system + turns, tokenize=False, add_generation_prompt=False
            )
    except Exception as error:  # a template raises whatever its author chose
        raise RecipeError(
            f"the model's chat template fails on text of users and assistants: {reason(error)}",
            _PLAIN,
        ) from error
    pieces = []
    for mark in _MARKS:
        piece, found, rest = text.partition(mark)
        if not found or mark in rest:
            raise RecipeError(
                "the model's chat template loses, repeats, moves or changes what users and"
                " assistants say",
                _PLAIN,
            )
        pieces.append(piece)
        text = rest
    return [*pieces, text]


@contextmanager
def _on(date: str) -> Iterator[None]:
    """Let chat templates find a given day on their clock: what they write must not age."""

    class Day(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Day":
            return cls.fromisoformat(date).replace(tzinfo=tz)

    # Templates see plain data and this module's clock; they cannot be handed one of their own.
    clock: Any = sys.modules.get("transformers.utils.chat_template_utils")
    if clock is None:
        yield
        return
    before, clock.datetime = clock.datetime, Day
    try:
        yield
    finally:
        clock.datetime = before
