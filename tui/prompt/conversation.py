"""One model to talk to: loads, reads demonstrations and asks, doing only what changed since last.

Everything here blocks and is called from a worker thread; `cancel` may come from any thread.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.tasks.task import Example

OnNote = Callable[[str, dict[str, Any]], None]


class Session(Protocol):
    """What is used of a session's client."""

    @property
    def is_alive(self) -> bool:
        """Tell whether the process runs."""

    def call(
        self, method: str, params: dict[str, Any] | None = None, on_note: OnNote | None = None
    ) -> dict[str, Any]:
        """Call and wait for the result."""

    def cancel(self) -> None:
        """Ask the session to give up what it is doing."""

    def kill(self) -> None:
        """End the process at once, stuck as it may be."""

    def close(self) -> None:
        """End the process."""


@dataclass(frozen=True)
class Target:
    """Who answers: a run's adapter on its base model, or a base model alone."""

    run: str | None = None
    model: str | None = None
    use_adapter: bool = True
    stamp: float = 0.0  # changes when a running run improves its adapter

    @property
    def name(self) -> str:
        """Return the run's id or the model's name."""
        return self.run or self.model or ""

    def params(self) -> dict[str, Any]:
        """Return the parameters of `load`."""
        if self.run is not None:
            return {"run": self.run, "use_adapter": self.use_adapter}
        return {"model": self.model}


@dataclass(frozen=True)
class Context:
    """What stands before the query."""

    demonstrations: tuple[Example, ...] = ()
    instruction: str = ""
    all_shots: bool = False  # as many as fit, whatever the model was trained on

    def params(self) -> dict[str, Any]:
        """Return the parameters of `prefill`."""
        shown = [{"input": pair.input, "output": pair.output} for pair in self.demonstrations]
        shots = {"shots": "all"} if self.all_shots else {}
        return {"demonstrations": shown, "instruction": self.instruction, **shots}


@dataclass
class Conversation:
    """A session process and what it holds."""

    make: Callable[[], Session]
    _session: Session | None = None
    _target: Target | None = None
    _context: Context | None = None
    _given_up: Event = field(default_factory=Event)
    _ended: Event = field(default_factory=Event)

    def ask(
        self, target: Target, context: Context, query: str, max_tokens: int, on_note: OnNote
    ) -> dict[str, Any]:
        """Return the result of `generate`, after whatever had to be loaded and read first.

        What the session has read, the result of `prefill`, is noted as `read` before it answers.
        """
        self._given_up.clear()
        self._ended.clear()
        try:
            session = self._alive()
            self._load(session, target, on_note)
            self._read(session, context, on_note)
            on_note("stage", {"words": "answering"})
            wanted = {"input": query, "max_tokens": max_tokens, "temperature": 0.0}
            return session.call("generate", wanted, on_note)
        except YofoError:
            if self._ended.is_set():
                raise Cancelled("stuck, and ended", "ask again: that starts another") from None
            raise

    def _load(self, session: Session, target: Target, on_note: OnNote) -> None:
        if target == self._target:
            return
        self._target = self._context = None
        on_note("stage", {"words": "loading the model"})
        loaded = session.call("load", target.params(), on_note)
        for words in loaded.get("notes", ()):
            on_note("warning", {"words": words})
        self._target = target
        self._check()

    def _read(self, session: Session, context: Context, on_note: OnNote) -> None:
        if context == self._context:
            return
        self._context = None
        on_note("stage", {"words": "reading demonstrations"})
        facts = session.call("prefill", context.params(), on_note)
        self._context = context
        on_note("read", facts)
        self._check()

    @property
    def is_alive(self) -> bool:
        """Tell whether there is a session process."""
        return self._session is not None and self._session.is_alive

    def _check(self) -> None:
        """Stop between two calls: a session only gives up the call it is at."""
        if self._given_up.is_set():
            raise Cancelled("cancelled")

    def _alive(self) -> Session:
        if self._session is not None and not self._session.is_alive:
            self.close()
        if self._session is None:
            self._session = self.make()
            self._target = self._context = None
        return self._session

    def cancel(self) -> None:
        """Ask the session to give up what it is doing; may wait where the session is stuck."""
        self._given_up.set()
        if (session := self._session) is not None:
            session.cancel()

    def kill(self) -> None:
        """End a session that does not give up; what it was asked ends as cancelled."""
        self._given_up.set()
        self._ended.set()
        if (session := self._session) is not None:
            session.kill()

    def close(self) -> None:
        """End the session process; the next question starts another."""
        session, self._session = self._session, None
        self._target = self._context = None
        if session is not None:
            with suppress(OSError):
                session.close()


def session_process() -> Session:
    """Return a client of a real session process."""
    from yofo_mlx.prompting.client import SessionClient

    return SessionClient()
