"""The asking side of the process that reads, tokenizes and plans."""

import threading
from collections.abc import Callable
from typing import Any

from yofo_mlx.errors import Cancelled, RunError
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.system import child

OnProgress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, of how much in all (0: not known)."""

PREVIEW = child.command("yofo_mlx.preview.process")


class PreviewClient:
    """One process of an asker's own, started by the first call; stopping it is ending it."""

    def __init__(self) -> None:
        self._session: SessionClient | None = None
        self._is_closed = False
        self._waiting = 0
        self._lock = threading.Lock()

    def call(self, method: str, on_progress: OnProgress | None = None, **params: Any) -> Any:
        """Call and wait, in a thread; YofoError if it cannot be done, Cancelled if stopped."""
        with self._lock:
            if self._is_closed:
                raise Cancelled(f"{method} was stopped")
            if self._session is None or self._session.ended:
                self._session = SessionClient(PREVIEW)
            session = self._session
            self._waiting += 1
        try:
            return session.call(method, params, _noted(on_progress))
        except RunError as error:
            if self._session is not session:
                raise Cancelled(f"{method} was stopped") from None
            if ended := session.ended:
                raise _told(ended) from None
            raise error
        finally:
            with self._lock:
                self._waiting -= 1

    @property
    def is_busy(self) -> bool:
        """Tell whether a call waits for its result."""
        return self._waiting > 0

    def stop(self) -> None:
        """End the process, wherever it is; calls that wait raise Cancelled."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.kill()

    def close(self) -> None:
        """Stop for good: calls that come late raise Cancelled, too."""
        with self._lock:
            self._is_closed = True
        self.stop()


def _noted(on_progress: OnProgress | None) -> Callable[[str, dict[str, Any]], None] | None:
    if on_progress is None:
        return None
    return lambda name, told: on_progress(told["what"], told["done"], told["total"])


def _told(ended: RunError) -> RunError:
    """Say in the words of this process that it died."""
    how = ended.message.split(": ", 1)[-1]
    words = ended.hint.split("its last words:\n", 1)[1:]
    last = f"its last words: {words[0].splitlines()[-1]}" if words else ""
    hint = "if memory ran out, read a part of the data" if how.startswith("killed") else last
    return RunError(f"the process that reads ended: {how}", hint or "try again")
