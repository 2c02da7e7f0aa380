"""What a session is at before it can answer, such as a download, told to its caller."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from yofo_mlx.prompting.protocol import Params
from yofo_mlx.prompting.work import Work
from yofo_mlx.system import progress


@contextmanager
def told_to(work: Work) -> Iterator[None]:
    """Note to a caller what is told while the block runs; what was cancelled ends there."""
    with progress.listening(_Stages(work)):
        yield


def show(method: str, params: Params) -> None:
    """Tell the listeners on the caller's side."""
    if method == "stage":
        count = progress.Bytes if params["bytes"] else int
        progress.tell(params["what"], count(params["done"]), count(params["total"]))


class _Stages:
    def __init__(self, work: Work) -> None:
        self._work = work

    def tell(self, what: str, done: int, total: int) -> None:
        words = progress.words(what, done, total)
        is_bytes = isinstance(total, progress.Bytes)
        self._work.note("stage", words=words, what=what, done=done, total=total, bytes=is_bytes)
        if threading.current_thread() is threading.main_thread():  # which does the work
            self._work.check()

    def end(self) -> None:
        """Do nothing: the caller sees the result."""
