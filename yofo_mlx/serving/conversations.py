"""Messages of a chat as a system text, turns that are answered, and the query at its end."""

from collections.abc import Sequence
from itertools import groupby

from yofo_mlx.serving.models import Conversation
from yofo_mlx.serving.refusals import bad
from yofo_mlx.serving.requests import Message
from yofo_mlx.tasks.task import Example

_SYSTEM = ("system", "developer")


def conversation_of(messages: Sequence[Message]) -> Conversation:
    """Return messages as a conversation; several of one side in a row count as one."""
    system = "\n\n".join(one.text.strip() for one in messages if one.role in _SYSTEM)
    said = [one for one in messages if one.role not in _SYSTEM]
    turns = [
        (role, "\n\n".join(one.text for one in some))
        for role, some in groupby(said, key=lambda one: one.role)
    ]
    if not turns or turns[-1][0] != "user":
        raise bad("`messages`: the last one is to be the user's", "messages")
    if turns[0][0] != "user":
        raise bad("`messages`: the user has the first word", "messages")
    pairs = zip(turns[:-1:2], turns[1::2], strict=True)
    answered = tuple(Example(query, answer) for (_, query), (_, answer) in pairs)
    return Conversation(system.strip(), answered, turns[-1][1])
