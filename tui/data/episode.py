"""An episode in tokens: what a model reads, and in colour what it answers."""

from dataclasses import dataclass
from typing import Any

from textual.content import Content

from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import printable

from ..shared.words import MUTED, lines, muted

EDGE = "│"  # between tokens


@dataclass(frozen=True)
class Passage:
    """The texts of an episode's tokens in pieces, and whether a piece is an answer."""

    pieces: tuple[tuple[tuple[str, ...], bool], ...]
    tokens: int
    shots: int


def passage_from(facts: dict[str, Any]) -> Passage:
    """Return what JSON holds."""
    pieces = tuple((tuple(texts), is_answer) for texts, is_answer in facts["pieces"])
    return Passage(pieces, facts["tokens"], facts["shots"])


def drawn(passage: Passage, model: str, *, by_token: bool) -> Content:
    """Draw an episode with its answers in colour; `by_token`: with the edges of tokens."""
    parts: list[tuple[str, str]] = []
    for texts, is_answer in passage.pieces:
        style = "$text-success on $success-muted" if is_answer else ""
        for text in texts:
            shown = _visible(text, is_answer)
            parts.append((shown, style))
            if by_token:
                parts.append((EDGE, MUTED))
        if is_answer:
            parts.append(("\n" * sum(text.count("\n") for text in texts), ""))
    head = muted(
        f"{plural(passage.shots, 'shot')} as {model} reads them,"
        f" {plural(passage.tokens, 'token')}; in colour what is answered"
    )
    return lines([head, Content(""), Content.assemble(*parts)])


def _visible(text: str, is_answer: bool) -> str:
    """Return a token's text with its line ends shown: those of an answer are answered, too."""
    shown = printable(text, keep="\n").replace("\t", "→")
    return shown.replace("\n", "⏎" if is_answer else "⏎\n")
