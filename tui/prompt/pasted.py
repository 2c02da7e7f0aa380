"""Demonstrations as they are pasted, read and saved, in words and as files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from yofo_mlx.prompting import demonstrations, sets
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.task import Example

_HEAD = 40  # lines that show what a text is


@dataclass(frozen=True)
class Unsaved:
    """Something to save: what it is, the name to offer (its end is its form), and the text."""

    what: str
    name: str
    text: str
    saved: Callable[[], None]  # called once it is in a file


def shots_of(facts: dict[str, Any]) -> str:
    """Say how many of the demonstrations the model reads."""
    shots, offered = facts.get("shots"), facts.get("offered")
    if not isinstance(shots, int):
        return ""
    if isinstance(offered, int) and offered != shots:
        return f"{shots:,} of {plural(offered, 'shot')}"
    return plural(shots, "shot")


def facts_of(facts: dict[str, Any]) -> str:
    """Say what the model reads, what it does not, and why."""
    said = [str(words) for words in facts.get("told") or ()]
    if facts.get("left_out") and facts.get("bound") in ("trained", "default"):
        said.append("key a: all that fit")
    if note := facts.get("note"):
        said.append(str(note))
    return " · ".join(said)


def saved_demonstrations(
    examples: Sequence[Example], instruction: str, saved: Callable[[], None]
) -> Unsaved:
    """Return demonstrations as JSON lines; an instruction stands in each, as a system message."""
    what = plural(len(examples), "demonstration")
    what += " with the instruction" if instruction else ""
    rows = sets.as_lines(examples)
    if instruction:
        chats = (_chat(pair, instruction) for pair in examples)
        rows = (f"{json.dumps(chat, ensure_ascii=False)}\n" for chat in chats)
    return Unsaved(what, "demonstrations.jsonl", "".join(rows), saved)


def saved_answers(
    exchanges: Sequence[tuple[str, Sequence[tuple[str, str]]]], saved: Callable[[], None]
) -> Unsaved:
    """Return questions, their answers and who gave them as a page."""
    pages = []
    for question, answers in exchanges:
        said = (f"{answer}\n\n*{who}*\n" for who, answer in answers)
        pages.append(f"## {question}\n\n" + "\n".join(said))
    count = sum(len(answers) for _, answers in exchanges)
    return Unsaved(plural(count, "answer"), "answers.md", "\n".join(pages), saved)


def looks_like_rows(text: str) -> bool:
    """Tell whether pasted text is demonstrations: two or more, and more understood than not."""
    head = "\n".join(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:_HEAD])
    if "\n" not in head.strip():
        return False
    parsed = demonstrations.parse(head)
    return len(parsed.examples) > max(1, len(parsed.problems))


def _chat(pair: Example, instruction: str) -> dict[str, Any]:
    said = (("system", instruction), ("user", pair.input), ("assistant", pair.output))
    return {"messages": [{"role": role, "content": text} for role, text in said]}
