"""What a session is at before it can answer, such as a download, told to its caller."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from yofo_mlx.prompting.protocol import Params
from yofo_mlx.system import progress


class Call(Protocol):
    """The call that is being answered."""

    def check(self) -> None:
        """Raise Cancelled if the caller has given it up."""

    def note(self, method: str, **params: object) -> None:
        """Send a notification about it."""


@contextmanager
def told_to(call: Call) -> Iterator[None]:
    """Note to a caller what is told while the block runs; what was cancelled ends there."""
    with progress.listening(_Stages(call)):
        yield


def show(method: str, params: Params) -> None:
    """Tell the listeners on the caller's side."""
    if method == "stage":
        count = progress.Bytes if params["bytes"] else int
        progress.tell(params["what"], count(params["done"]), count(params["total"]))


class _Stages:
    def __init__(self, call: Call) -> None:
        self._call = call

    def tell(self, what: str, done: int, total: int) -> None:
        words = progress.words(what, done, total)
        is_bytes = isinstance(total, progress.Bytes)
        self._call.note("stage", words=words, what=what, done=done, total=total, bytes=is_bytes)
        if threading.current_thread() is threading.main_thread():  # which does the work
            self._call.check()

    def end(self) -> None:
        """Do nothing: the caller sees the result."""
