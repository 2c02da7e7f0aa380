"""Conversations: which answer is learned, what stands before it, what of it has no use here."""

import ast
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from yofo_mlx.tasks.fields import is_blank
from yofo_mlx.tasks.problems import RowError
from yofo_mlx.tasks.reading.rows import kind

# Fields of a row that hold its turns; a prompt and its completion may both be lists of turns.
CHATS = (("messages",), ("conversations",), ("prompt", "completion"))

_ROLES = {"gpt": "assistant", "model": "assistant", "human": "user", "developer": "system"}
_KNOWN = ("system", "user", "assistant")
_READ = ("role", "from", "content", "value", "weight")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation as an example, and what of it yofo does not use."""

    system: str
    input: str
    answer: str
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Turn:
    role: str
    text: str
    weight: float | None
    unused: tuple[str, ...]


def chat_of(fields: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the fields that hold a conversation; none if there is none."""
    found = (names for names in CHATS if all(turns_in(fields.get(n)) is not None for n in names))
    return next(found, ())


def turns_in(value: Any) -> list[Any] | None:
    """Return a list of turns, also where a table holds it as text; None if it is none."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                value = read(value.strip())
                break
    return value if isinstance(value, list) else None


def conversation(turns: Any) -> Dialogue:
    """Read a conversation: the last answer that is to be learned, and all before it.

    Earlier turns stay in the input, each after the name of who speaks.
    """
    read, said = _turns(turns)
    if not said or said[-1].role != "assistant":
        raise RowError("the last message is not the assistant's", "its content is the answer")
    learned = [at for at, turn in enumerate(said) if turn.role == "assistant" and turn.weight != 0]
    if not learned:
        hint = "the row is left out: there is nothing to learn from it"
        raise RowError("every answer has `weight` zero", hint, "warning")
    answer = said[learned[-1]]
    before = said[: learned[-1]]
    if not before or before[-1].role != "user":
        raise RowError("no user message before the last answer")
    return Dialogue(_system(read), _question(before), answer.text, _unused(read, said, learned))


def last_question(turns: Any) -> tuple[str, str]:
    """Return the system text of a conversation, and its last question with all before it."""
    read, said = _turns(turns)
    asked = [at for at, turn in enumerate(said) if turn.role == "user"]
    if not asked:
        raise RowError("no message is the user's", "its content is the query")
    return _system(read), _question(said[: asked[-1] + 1])


def _turns(turns: Any) -> tuple[list[_Turn], list[_Turn]]:
    """Return the turns of a conversation, and those that are not the system's."""
    if not isinstance(turns, list) or not turns:
        raise RowError("the conversation is empty" if turns == [] else "not a list of messages")
    read = [_turn(turn, number) for number, turn in enumerate(turns, start=1)]
    return read, [turn for turn in read if turn.role != "system"]


def _question(turns: list[_Turn]) -> str:
    """Return the last turn, after the earlier ones where there are any."""
    earlier = "".join(f"{turn.role.capitalize()}: {turn.text}\n" for turn in turns[:-1])
    return f"{earlier}User: {turns[-1].text}" if earlier else turns[-1].text


def _system(turns: list[_Turn]) -> str:
    return "\n\n".join(turn.text for turn in turns if turn.role == "system")


def _unused(read: list[_Turn], said: list[_Turn], learned: list[int]) -> tuple[str, ...]:
    names = [name for turn in read for name in turn.unused]
    if any(turn.weight not in (None, 0, 1) for turn in said):
        names.append("a message's `weight` other than 0 and 1")
    if any(said[at].weight for at in learned[:-1]):
        names.append("the `weight` of answers before the last, which are shown and not learned")
    if learned[-1] + 1 < len(said):
        names.append("messages after the last answer to learn")
    return tuple(dict.fromkeys(names))


def earlier_turns(history: Any) -> str:
    """Return pairs of question and answer as the turns before an input."""
    pairs = history if isinstance(history, list) else [history]
    if not all(isinstance(p, list) and [type(t) for t in p] == [str, str] for p in pairs):
        raise RowError("`history` is not a list of pairs of texts", "give question and answer each")
    return "".join(f"User: {question}\nAssistant: {answer}\n" for question, answer in pairs)


def _turn(turn: Any, number: int) -> _Turn:
    if not isinstance(turn, dict):
        raise RowError(f"message {number} is {kind(turn)}, not an object with `role` and `content`")
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if isinstance(content, list):
        content = _parts(content, number)
    role = _ROLES.get(str(role), role)
    if role not in _KNOWN:
        hint = 'roles are system, user, assistant; bad_rows = "drop" leaves such rows out'
        raise RowError(f"message {number}: unknown role {role!r}", hint)
    if not isinstance(content, str):
        hint = 'bad_rows = "drop" leaves such rows out'
        raise RowError(f"message {number}: `content` is {kind(content)}, not text", hint)
    weight = turn.get("weight")
    if not isinstance(weight, int | float | None):
        raise RowError(f"message {number}: `weight` is {kind(weight)}, not a number")
    more = [name for name, value in turn.items() if name not in _READ and not is_blank(value)]
    return _Turn(role, content, weight, tuple(f"`{name}` of messages" for name in more))


def _parts(content: list[Any], number: int) -> str:
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise RowError(f"message {number} holds something other than text")
    return "".join(map(str, texts))
