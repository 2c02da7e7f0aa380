"""A session without a process of its own, for verbs that ask thousands of queries at once."""

import threading

from yofo_mlx.errors import Cancelled, RunError
from yofo_mlx.prompting import parameters, session
from yofo_mlx.prompting.client import OnNote, SessionClient
from yofo_mlx.prompting.prompter import Prompter, Result
from yofo_mlx.prompting.protocol import Params, Request


class InProcess(SessionClient):
    """Calls a session's methods where it is; what they hold can be had."""

    def __init__(self) -> None:
        super().__init__()
        self._prompter: Prompter | None = None
        self._given_up = threading.Event()

    @property
    def is_alive(self) -> bool:
        """Tell whether there is somebody to call."""
        return self._prompter is not None

    @property
    def prompter(self) -> Prompter:
        """The model and the demonstrations that it has read."""
        if self._prompter is None:
            raise RunError("no model is loaded", "load one first")
        return self._prompter

    def restart(self) -> None:
        """Begin with nothing loaded."""
        self._prompter = Prompter()

    def call(
        self, method: str, params: Params | None = None, on_note: OnNote | None = None
    ) -> Result:
        """Do it now."""
        self._given_up.clear()
        kind, do = session.methods_of(self.prompter)[method]
        return do(parameters.read(kind, Request(0, method, params or {})), _Work(self, on_note))

    def cancel(self) -> None:
        """Let what is being done end at its next check."""
        self._given_up.set()

    def kill(self) -> None:
        """Do what can be done to a part of this process: cancel."""
        self.cancel()

    def close(self) -> None:
        """Forget the model."""
        self._prompter = None

    def check(self) -> None:
        """Raise Cancelled where the call was given up."""
        if self._given_up.is_set():
            raise Cancelled("cancelled")


class _Work:
    """A call; satisfies Work."""

    def __init__(self, session: InProcess, on_note: OnNote | None) -> None:
        self._session, self._on_note = session, on_note

    def check(self) -> None:
        self._session.check()

    def note(self, method: str, **params: object) -> None:
        if self._on_note is not None:
            self._on_note(method, params)
