"""The answers of the server in OpenAI's form, whole or as a stream of pieces."""

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from yofo_mlx.serving.jobs import Finish, Labelled, Piece, TokenTold, Usage

Content = dict[str, Any]


@dataclass
class Reply:
    """The answer to one request as it comes."""

    kind: Literal["chat", "text"]
    model: str
    has_logprobs: bool = False
    pieces: list[Piece] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Give it a name of its own."""
        head = "chatcmpl" if self.kind == "chat" else "cmpl"
        self._id, self._created = f"{head}-{secrets.token_hex(12)}", int(time.time())
        self._offset = 0

    def whole(self, reason: Finish, usage: Usage) -> Content:
        """Return the answer at its end."""
        text = "".join(piece.text for piece in self.pieces)
        told = [one for piece in self.pieces for one in piece.told]
        if self.kind == "chat":
            choice: Content = {"message": {"role": "assistant", "content": text, "refusal": None}}
        else:
            choice = {"text": text}
        choice |= self._ended(told, reason)
        return self._head("chat.completion") | {"choices": [choice], "usage": usage_of(usage)}

    def begin(self) -> Iterable[Content]:
        """Yield what a stream begins with."""
        if self.kind == "chat":
            yield self._chunk({"delta": {"role": "assistant", "content": ""}}, None)

    def piece(self, piece: Piece) -> Content:
        """Return a piece of a stream."""
        said = {"delta": {"content": piece.text}} if self.kind == "chat" else {"text": piece.text}
        return self._chunk(said | self._logprobs(piece.told), None)

    def end(self, reason: Finish) -> Content:
        """Return the last piece of a stream."""
        return self._chunk({"delta": {}} if self.kind == "chat" else {"text": ""}, reason)

    def used(self, usage: Usage) -> Content:
        """Return what a stream tells of its tokens where that is wanted."""
        return self._head("chat.completion.chunk") | {"choices": [], "usage": usage_of(usage)}

    def _chunk(self, said: Content, reason: Finish | None) -> Content:
        choice = {"index": 0, "logprobs": None} | said | {"finish_reason": reason}
        return self._head("chat.completion.chunk") | {"choices": [choice]}

    def _ended(self, told: Sequence[TokenTold], reason: Finish) -> Content:
        return {"index": 0, "logprobs": None, "finish_reason": reason} | self._logprobs(told)

    def _head(self, name: str) -> Content:
        name = name if self.kind == "chat" else "text_completion"
        return {
            "id": self._id,
            "object": name,
            "created": self._created,
            "model": self.model,
        }

    def _logprobs(self, told: Sequence[TokenTold]) -> Content:
        if not self.has_logprobs:
            return {}
        if self.kind == "chat":
            content = [
                _token(one.text, one.logprob)
                | {"top_logprobs": [_token(*other) for other in one.alternatives]}
                for one in told
            ]
            return {"logprobs": {"content": content, "refusal": None}}
        offsets = []
        for one in told:
            offsets.append(self._offset)
            self._offset += len(one.text)
        logprobs = {
            "tokens": [one.text for one in told],
            "token_logprobs": [one.logprob for one in told],
            "top_logprobs": [dict(reversed(one.alternatives)) for one in told],
            "text_offset": offsets,
        }
        return {"logprobs": logprobs}


def _token(text: str, logprob: float) -> Content:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def usage_of(usage: Usage) -> Content:
    """Return the tokens of a request; those that were read before are among its prompt."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.written,
        "total_tokens": usage.prompt + usage.written,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def classification(model: str, found: Sequence[Labelled], usage: Usage) -> Content:
    """Return the labels of texts, each with the probabilities of all labels, best first."""
    data = [
        {
            "index": place,
            "label": one.shares[0][0],
            "probability": one.shares[0][1],
            "probabilities": dict(one.shares),
        }
        for place, one in enumerate(found)
    ]
    return {
        "id": f"classify-{secrets.token_hex(12)}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": data,
        "usage": usage_of(usage),
    }


def models(names: Iterable[str], created: int) -> Content:
    """Return the list of models."""
    return {"object": "list", "data": [model(name, created) for name in names]}


def model(name: str, created: int) -> Content:
    """Return what is told of one model."""
    return {"id": name, "object": "model", "created": created, "owned_by": "yofo"}
