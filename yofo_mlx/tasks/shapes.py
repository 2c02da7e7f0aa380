"""Row shapes in common use, and the columns they stand for."""

from dataclasses import dataclass
from typing import Any

from yofo_mlx.tasks.problems import RowError
from yofo_mlx.tasks.rows import kind

CHATS = ("messages", "conversations")

_ASSISTANT = ("assistant", "gpt", "model")
_USER = ("user", "human")


@dataclass(frozen=True)
class Shape:
    """Fields that give a shape away, and what becomes input and answer."""

    fields: frozenset[str]
    input: str
    output: str


def _shape(fields: str, input: str, output: str) -> Shape:
    return Shape(frozenset(fields.split()), input, output)


# From particular to general: the first one whose fields are all there is taken.
SHAPES = (
    _shape("prompt completion", "prompt", "completion"),
    _shape("instruction input output", "{instruction}\n\n{input}", "output"),
    _shape("instruction context response", "{context}\n\n{instruction}", "response"),
    _shape("instruction output", "instruction", "output"),
    _shape("instruction response", "instruction", "response"),
    _shape("context question answers", "{context}\n\nQuestion: {question}", "answers.text.0"),
    _shape("premise hypothesis label", "Premise: {premise}\nHypothesis: {hypothesis}", "label"),
    _shape("sentence1 sentence2 label", "{sentence1}\n{sentence2}", "label"),
    _shape("input_1 input_2 output", "{input_1}\n{input_2}", "output"),
    _shape("input output", "input", "output"),
    _shape("input target", "input", "target"),
    _shape("inputs targets", "inputs", "targets"),
    _shape("question answer", "question", "answer"),
    _shape("question response", "question", "response"),
    _shape("query answer", "query", "answer"),
    _shape("query response", "query", "response"),
    _shape("article highlights", "article", "highlights"),
    _shape("document summary", "document", "summary"),
    _shape("dialogue summary", "dialogue", "summary"),
    _shape("text summary", "text", "summary"),
    _shape("text label_text", "text", "label_text"),
    _shape("text label", "text", "label"),
    _shape("text labels", "text", "labels"),
    _shape("text category", "text", "category"),
    _shape("text intent", "text", "intent"),
    _shape("sentence label", "sentence", "label"),
    _shape("0 1", "0", "1"),
)


def shape_of(fields: dict[str, Any]) -> Shape | None:
    """Return the shape of a row; None if it is not a known one."""
    return next((shape for shape in SHAPES if shape.fields <= fields.keys()), None)


def chat_of(fields: dict[str, Any]) -> str | None:
    """Return the name of the field that holds a conversation, if there is one."""
    return next((name for name in CHATS if isinstance(fields.get(name), list)), None)


def conversation(turns: Any) -> tuple[str, str, str]:
    """Split a conversation into system text, input and the last answer.

    Earlier turns stay in the input, each after the name of who speaks.
    """
    if not isinstance(turns, list) or not turns:
        raise RowError("the conversation is empty" if turns == [] else "not a list of messages")
    said = [_turn(turn, number) for number, turn in enumerate(turns, start=1)]
    system = "\n\n".join(text for role, text in said if role == "system")
    said = [(role, text) for role, text in said if role != "system"]
    if not said or said[-1][0] != "assistant":
        hint = "its content is the answer to learn"
        raise RowError("the last message is not the assistant's", hint)
    if len(said) < 2 or said[-2][0] != "user":
        raise RowError("no user message before the last answer")
    earlier = "".join(f"{role.capitalize()}: {text}\n" for role, text in said[:-2])
    question = f"{earlier}User: {said[-2][1]}" if earlier else said[-2][1]
    return system, question, said[-1][1]


def _turn(turn: Any, number: int) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise RowError(f"message {number} is {kind(turn)}, not an object with `role` and `content`")
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if isinstance(content, list):
        content = _parts(content, number)
    if not isinstance(content, str):
        raise RowError(f"message {number}: `content` is {kind(content)}, not text")
    name = {**dict.fromkeys(_ASSISTANT, "assistant"), **dict.fromkeys(_USER, "user")}
    role = name.get(str(role), role)
    if role not in ("assistant", "user", "system", "developer"):
        hint = "roles are system, user, assistant"
        raise RowError(f"message {number}: unknown role {role!r}", hint)
    return ("system" if role == "developer" else role), content


def _parts(content: list[Any], number: int) -> str:
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise RowError(f"message {number} holds something other than text")
    return "".join(map(str, texts))
