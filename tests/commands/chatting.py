"""Stand-ins of `yofo chat`: a session that echoes, a keyboard that types."""

from collections.abc import Callable
from typing import Any

import pytest

from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.commands.conversation import Conversation
from yofo_mlx.errors import Cancelled, RunError
from yofo_mlx.prompting.client import OnNote
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.protocol import Params


class FakeClient:
    """A session that echoes the query and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Params]] = []
        self.is_alive = True
        self.fails: dict[str, Exception] = {}
        self.room = 100  # demonstrations that fit
        self.seconds = 0.0  # that a reading takes
        self.stops = False  # the next reading, in its midst

    def call(self, method: str, params: Params | None = None, on_note: OnNote | None = None) -> Any:
        self.calls.append((method, dict(params or {})))
        if error := self.fails.pop(method, None):
            self.is_alive = not (isinstance(error, RunError) and "ended" in str(error))
            raise error
        return getattr(self, f"_{method}")(params or {}, on_note)

    def asked(self, method: str) -> list[Params]:
        return [params for name, params in self.calls if name == method]

    def restart(self) -> None:
        self.is_alive = True

    def cancel(self) -> None: ...

    def _load(self, params: Params, _: Any) -> Any:
        adapter = "adapter" if params["use_adapter"] else None
        return {"model": "m", "adapter": adapter, "run_id": None, "style": "plain", "context": 9}

    def _prefill(self, params: Params, on_note: OnNote | None) -> Any:
        offered = len(params["demonstrations"])
        shots = min(self.room, offered)
        chosen = {"shots": shots, "chosen": list(range(shots)), "told": [f"chose {shots}"]}
        chosen |= {"bound": "trained", "reasons": {"unused": offered - shots}, "reused_tokens": 0}
        if on_note:
            on_note("chosen", chosen)
            on_note("progress", {"done": 16, "total": 5 * shots})
            on_note("progress", {"done": 99, "total": 5 * shots, "seconds_left": self.seconds})
        if self.stops:
            self.stops = False
            raise Cancelled("prefill was cancelled")
        return {**chosen, "tokens": 5 * shots, "seconds": 0.0, "note": ""}

    def _generate(self, params: Params, on_note: OnNote | None) -> Any:
        text = f"answer to {params['input']}\x1b[2J"
        if on_note:
            for piece in (text[:3], text[3:]):
                on_note("token", {"id": 1, "text": piece})
        return {"text": text, "tokens": 2, "tokens_per_s": 1.0, "finish": "end", "note": ""}

    def _score(self, params: Params, _: Any) -> Any:
        return {"scores": [{"label": label, "logprob": -1.0} for label in params["labels"]]}

    def _save_cache(self, params: Params, _: Any) -> Any:
        return {"path": params["path"]}

    def _load_cache(self, params: Params, _: Any) -> Any:
        pairs = [{"input": "a", "output": "b"}]
        return self._prefill({"demonstrations": pairs}, None) | {
            "demonstrations": pairs,
            "instruction": "Do.",
        }

    def _stats(self, _: Params, __: Any) -> Any:
        memory = dict.fromkeys(("active_gb", "cache_gb", "peak_gb"), 0.5)
        return {**memory, "context_tokens": 5, "shots": 1, "shots_read": 1}


class Typed:
    """A keyboard on which these things are entered."""

    def __init__(self, *entered: str | type[BaseException]) -> None:
        self._entered = iter(entered)

    def read(self, prompt: str) -> str:
        entered = next(self._entered, EOFError)
        if isinstance(entered, str):
            return entered
        raise entered

    def read_until(self, end: str, prompt: str) -> str:
        lines = []
        while (line := str(next(self._entered))) != end:
            lines.append(line)
        return "\n".join(lines)


@pytest.fixture(name="client")
def client_fixture() -> FakeClient:
    return FakeClient()


@pytest.fixture(name="enter")
def enter_fixture(client: FakeClient) -> Callable[..., Chatroom]:
    """Enter things into a conversation and return the room it leaves."""

    def run(*entered: str | type[BaseException]) -> Chatroom:
        room = Chatroom(client, Model(run="last"))  # type: ignore[arg-type]
        room.open()
        Conversation(room, Typed(*entered)).run()  # type: ignore[arg-type]
        return room

    return run
