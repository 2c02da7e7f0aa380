"""The hub's own client, within limits of time, and what it is about told.

By itself it waits for ever, and in silence.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

from yofo_mlx.errors import YofoError
from yofo_mlx.hub.errors import Repo, explain, http, reason_of
from yofo_mlx.system import progress

TOLD_AFTER_S = 5.0  # of silence
REMEMBERED_S = 60.0  # for so long a silent hub is not asked again, where a copy would do
WHOLE_ANSWER = 6  # limits: the time for all of an answer that is no download
_WAITS = ("connect", "read", "write", "pool")


def limit() -> float:
    """Return after how many seconds without a byte a hub is given up."""
    from huggingface_hub import constants

    return float(constants.HF_HUB_DOWNLOAD_TIMEOUT)


@contextmanager
def asking(repo: Repo) -> Iterator[None]:
    """Tell that the hub is silent; turn what its client raises into words for the user."""
    _install()
    with watch.running():
        try:
            yield
        except YofoError:
            raise
        except Exception as error:
            if (told := explain(error, repo)) is None:
                raise
            raise told from error


@cache
def _install() -> None:
    """Give the hub's client limits of time, and nothing to print."""
    from huggingface_hub import errors, get_session, set_client_factory
    from huggingface_hub.utils import hf_raise_for_status, logging

    class Silent(errors.OfflineModeIsEnabled):
        """The hub was given up: as if offline, the client looks into its cache, and stops there."""

    class Client(http().Client):  # type: ignore[misc]
        """The hub's client, which by itself would wait for ever."""

        silent_until, trouble = 0.0, ""

        def send(self, request: Any, **keys: Any) -> Any:
            """Send a request and wait for its answer, but not longer than the limit."""
            streamed = keys.get("stream", False)  # a download, which tries again by itself
            host = request.url.host
            if not streamed and time.monotonic() < self.silent_until:
                raise Silent(self.trouble)
            request.extensions["timeout"] = dict.fromkeys(_WAITS, limit())
            with watch.waiting(f"no answer from {host} for {_seconds(TOLD_AFTER_S)}; {_until()}"):
                try:
                    response = super().send(request, **{**keys, "stream": True})
                    if not streamed:
                        _read_whole(response, host)
                except http().TimeoutException as error:
                    if streamed:
                        raise
                    self.silent_until = time.monotonic() + REMEMBERED_S
                    in_drops = str(error) == _too_slow(host)
                    self.trouble = str(error) if in_drops else _gave_up(host)
                    watch.trouble = self.trouble
                    raise Silent(self.trouble) from error
                except http().HTTPError as error:
                    watch.trouble = reason_of(error)
                    raise
            failed = response.status_code in (401, 403, 429) or response.status_code >= 500
            watch.trouble = f"{host} answered HTTP {response.status_code}" if failed else None
            if watch.trouble:  # the client may wait, and try again
                progress.tell(watch.trouble)
            if response.status_code == 429 and not streamed:  # the client might sleep for an hour
                hf_raise_for_status(response)
            return response

    hooks = get_session().event_hooks
    set_client_factory(lambda: Client(event_hooks=hooks, follow_redirects=True))
    logging.set_verbosity_error()


def _read_whole(response: Any, host: str) -> None:
    """Read an answer, unless it comes in drops, and would never end."""
    until = time.monotonic() + WHOLE_ANSWER * limit()

    class Bounded(http().SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self._stream, self.close = stream, stream.close

        def __iter__(self) -> Iterator[bytes]:
            for part in self._stream:
                if time.monotonic() > until:
                    raise http().ReadTimeout(_too_slow(host), request=response.request)
                yield part

    response.stream = Bounded(response.stream)
    try:
        response.read()
    except BaseException:
        response.close()
        raise


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s"


def _gave_up(host: str) -> str:
    return f"{host} did not answer for {_seconds(limit())}"


def _too_slow(host: str) -> str:
    return f"{host} did not come to the end of an answer in {_seconds(WHOLE_ANSWER * limit())}"


def _until() -> str:
    return f"given up after {_seconds(limit())} without a byte"


# ---------------------------------------------------------------------- silence


class _Watch:
    """Tells the listeners when nothing has come from the hub for some seconds."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        """What was last wrong with the hub."""
        self._waits: dict[int, tuple[float, str]] = {}  # by thread: since when, for what
        self._lock, self._watched, self._stopped = threading.Lock(), 0, threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch while the block runs."""
        with self._lock:
            self._watched += 1
            if self._watched == 1:
                self._stopped = threading.Event()
                threading.Thread(target=self._run, args=(self._stopped,), daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._watched -= 1
                if not self._watched:
                    self._stopped.set()
            progress.end()

    @contextmanager
    def waiting(self, words: str) -> Iterator[Callable[[], None]]:
        """Count the time of the block as silence; yield what says that there was a sign of life."""
        me = threading.get_ident()

        def alive() -> None:
            self._waits[me] = time.monotonic(), words

        alive()
        try:
            yield alive
        finally:
            self._waits.pop(me, None)

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(min(1.0, TOLD_AFTER_S / 2)):
            for since, words in list(self._waits.values()):
                if time.monotonic() - since >= TOLD_AFTER_S:
                    progress.tell(words)
                    break


watch = _Watch()


def waiting_for_data(host: str) -> AbstractContextManager[Callable[[], None]]:
    """Watch a download; yield what says that there was a sign of life."""
    return watch.waiting(f"no data from {host} for {_seconds(TOLD_AFTER_S)}; {_until()}")
