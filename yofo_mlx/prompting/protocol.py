"""JSON-RPC 2.0 messages, one a line, between a session process and whoever prompts.

    load        {run, model, adapter, use_adapter, beside, make_room}
    prefill     {demonstrations, instruction, shots, seed}
    generate    {input, max_tokens, temperature}     score      {input, labels}
    save_cache  {path}                               load_cache {path}
    cancel      {}                                   stats      {}

Notifications on the way: `chosen` {id, ...}, `progress` {id, done, total, seconds_left} and
`token` {id, text}; of several side by side also `reading` {id, subject, ...} and `answering`
{id, subject}. What they and the results hold is told in `docs/prompting.md`.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from yofo_mlx.errors import (
    Cancelled,
    DataError,
    ExitCode,
    FitError,
    RecipeError,
    RunError,
    YofoError,
)

Id = int | str | None
Params = dict[str, Any]

LONGEST_LINE = 256 * 1024 * 1024  # bytes: millions of demonstrations to choose from
CACHE_SUFFIX = ".safetensors"  # of prompt cache files
BASE = "base"  # how the base model without an adapter is named among those side by side

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
YOFO_ERROR = -32000


class ProtocolError(Exception):
    """A message that breaks the protocol: `code` is JSON-RPC's, `id` the request's if known."""

    def __init__(self, code: int, message: str, id: Id = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id


@dataclass(frozen=True)
class Request:
    """A call, or a notification where `id` is None."""

    id: Id
    method: str
    params: Params = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """An answer to a call: `error` is None where it went well."""

    id: Id
    result: Any = None
    error: dict[str, Any] | None = None


def request_line(id: Id, method: str, params: Params) -> bytes:
    """Return a request as a line; a notification where `id` is None."""
    head = {} if id is None else {"id": id}
    return _line({**head, "method": method, "params": params})


def result_line(id: Id, result: Any) -> bytes:
    """Return the answer to a call that went well."""
    return _line({"id": id, "result": result})


def error_line(id: Id, error: Exception) -> bytes:
    """Return the answer to a call that failed."""
    return _line({"id": id, "error": _error_object(error)})


def parse(line: bytes) -> Request | Response:
    """Return the message in a line; raise ProtocolError if there is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(PARSE_ERROR, f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ProtocolError(INVALID_REQUEST, "a message is a JSON object")
    id = message.get("id")
    if isinstance(id, bool) or not isinstance(id, int | str | None):
        raise ProtocolError(INVALID_REQUEST, "`id` is a number or a string")
    if "method" not in message and ("result" in message or "error" in message):
        return Response(id, message.get("result"), message.get("error"))
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str):
        raise ProtocolError(INVALID_REQUEST, "`method` is missing", id)
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_PARAMS, "`params` is a JSON object", id)
    return Request(id, method, params)


def exception_from(error: dict[str, Any]) -> YofoError:
    """Return the exception that an error object stands for."""
    message = str(error.get("message", "the session reported an error without words"))
    data = error.get("data")
    if not isinstance(data, dict):
        return RunError(message)
    kinds: dict[object, type[YofoError]] = {
        ExitCode.USAGE: RecipeError,
        ExitCode.DATA: DataError,
        ExitCode.WONT_FIT: FitError,
        ExitCode.INTERRUPTED: Cancelled,
    }
    return kinds.get(data.get("exit_code"), RunError)(message, str(data.get("hint", "")))


def _error_object(error: Exception) -> dict[str, Any]:
    if isinstance(error, YofoError):
        data = {"hint": error.hint, "exit_code": int(error.exit_code)}
        return {"code": YOFO_ERROR, "message": error.message, "data": data}
    if isinstance(error, ProtocolError):
        return {"code": error.code, "message": error.message}
    message = f"{type(error).__name__}: {error}"
    data = {"hint": "the session's stderr has the traceback", "exit_code": int(ExitCode.FAILED)}
    return {"code": INTERNAL_ERROR, "message": message, "data": data}


def _line(message: dict[str, Any]) -> bytes:
    """Encode as ASCII, so that no character of the data can look like the end of a line."""
    return json.dumps({"jsonrpc": "2.0", **message}).encode("ascii") + b"\n"
