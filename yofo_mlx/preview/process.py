"""The process that reads, tokenizes and plans for whoever asks, one call after the other.

It speaks the lines of `prompting.protocol`; on the way to a result it notifies of `progress`
{id, what, done, total}. It ends with whoever asks, wherever it is.
"""

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from yofo_mlx.errors import YofoError
from yofo_mlx.prompting import protocol
from yofo_mlx.prompting.protocol import ProtocolError, Request
from yofo_mlx.system import progress

Result = dict[str, Any]


def _read(**params: Any) -> Result:
    from yofo_mlx.preview.reading import read

    return read(**params)


def _plan(**params: Any) -> Result:
    from yofo_mlx.preview.plan import plan

    return plan(**params)


def _measure(**params: Any) -> Result:
    from yofo_mlx.preview.plan import measure

    return measure(**params)


def _episode(**params: Any) -> Result:
    from yofo_mlx.preview.episode import episode

    return episode(**params)


def _rows(**params: Any) -> Result:
    from yofo_mlx.preview.rows import rows

    return rows(**params)


def _text_of(**params: Any) -> Result:
    from yofo_mlx.preview.rows import text_of

    return text_of(**params)


def _columns(**params: Any) -> Result:
    from yofo_mlx.preview.columns import columns

    return columns(**params)


def _size(**params: Any) -> Result:
    from yofo_mlx.preview.size import size

    return size(**params)


def _search(**params: Any) -> Result:
    from yofo_mlx.preview.search import search

    return search(**params)


def _tokens(**params: Any) -> Result:
    from yofo_mlx.preview.tokens import tokens

    return tokens(**params)


def _episode_of(**params: Any) -> Result:
    from yofo_mlx.preview.tokens import episode_of

    return episode_of(**params)


def _models() -> Result:
    from yofo_mlx.preview.tokens import models

    return models()


# Each imports what it needs when it is first called: only some need tokenizers, or MLX.
METHODS: dict[str, Callable[..., Result]] = {
    "read": _read,
    "plan": _plan,
    "measure": _measure,
    "episode": _episode,
    "rows": _rows,
    "text_of": _text_of,
    "columns": _columns,
    "size": _size,
    "search": _search,
    "tokens": _tokens,
    "episode_of": _episode_of,
    "models": _models,
}


def main() -> None:
    """Answer the calls on standard input, in order, until it is closed."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    os.nice(10)  # whoever asks goes first
    calls: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    while True:
        out.write(_answer(calls.get(), out))
        out.flush()


def _listen(lines: BinaryIO, calls: "queue.SimpleQueue[Request]") -> None:
    """Take calls in while another is answered; at the end of them, nobody waits any more."""
    for line in lines:
        message = protocol.parse(line)
        if isinstance(message, Request) and message.id is not None:
            calls.put(message)
    os._exit(0)


def _answer(call: Request, out: BinaryIO) -> bytes:
    try:
        if call.method not in METHODS:
            raise ProtocolError(protocol.METHOD_NOT_FOUND, f"no method {call.method!r}", call.id)
        with progress.listening(_Teller(call.id, out)):
            return protocol.result_line(call.id, METHODS[call.method](**call.params))
    except (YofoError, ProtocolError) as error:
        return protocol.error_line(call.id, error)
    except Exception as error:  # a defect, or a disk: the next call is answered all the same
        traceback.print_exc()
        return protocol.error_line(call.id, error)


class _Teller:
    """Hands on how far the work is."""

    def __init__(self, id: protocol.Id, out: BinaryIO) -> None:
        self._id, self._out = id, out

    def tell(self, what: str, done: int, total: int) -> None:
        facts = {"id": self._id, "what": what, "done": done, "total": total}
        self._out.write(protocol.request_line(None, "progress", facts))
        self._out.flush()

    def end(self) -> None:
        self.tell("", 0, 0)


if __name__ == "__main__":
    main()
