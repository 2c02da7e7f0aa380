"""What a session holds: what is done again, what is not, and what a death leaves."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.prompting.test_sides import LORAS, write_adapter
from yofo_mlx.errors import Cancelled, FitError, RunError
from yofo_mlx.prompting.client import OnNote, SessionClient
from yofo_mlx.prompting.held import Held, Model, Offer, beside
from yofo_mlx.prompting.protocol import Params
from yofo_mlx.tasks.task import Example

TINY = Model(model="tiny")
ROWS = tuple(Example(f"row {n}", f"label {n % 9}") for n in range(90))
TWO = Offer(ROWS[:2])


class FakeClient:
    """A session that shows all it is offered, and fails or dies where a test says so."""

    def __init__(self) -> None:
        self.is_alive = False
        self.ended: RunError | None = None
        self.calls: list[tuple[str, Params]] = []
        self.fails: dict[str, BaseException] = {}
        self.dies = False
        self.log: list[str] = []

    def call(self, method: str, params: Params | None = None, on_note: OnNote | None = None) -> Any:
        self.calls.append((method, dict(params or {})))
        if self.dies:
            self.is_alive = self.dies = False
            raise RunError("the session process ended")
        if error := self.fails.pop(method, None):
            raise error
        if method == "load_cache":
            pairs = [{"input": "a", "output": "b"}]
            return {"demonstrations": pairs, "instruction": "Do.", "chosen": [0]}
        return {"chosen": list(range(len((params or {}).get("demonstrations", ()))))}

    def methods(self) -> list[str]:
        methods = [method for method, _ in self.calls]
        self.calls.clear()
        return methods

    def restart(self) -> None:
        self.is_alive = True
        self.log.append("restart")

    def cancel(self) -> None:
        self.log.append("cancel")

    def kill(self) -> None:
        self.is_alive = False
        self.log.append("kill")


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def held(client: FakeClient) -> Held:
    return Held(client)  # type: ignore[arg-type]


def ask(held: Held, model: Model, offer: Offer, on_note: OnNote | None = None) -> None:
    held.load(model, on_note)
    held.read(offer, on_note)
    held.call("generate", {"input": "?"}, on_note)


def test_only_what_changed_is_done_again(held: Held, client: FakeClient) -> None:
    ask(held, TINY, TWO)
    assert client.methods() == ["load", "prefill", "generate"]
    ask(held, Model(model="tiny"), Offer(ROWS[:2]))
    assert client.methods() == ["generate"]
    ask(held, TINY, Offer(ROWS[:3]))
    assert client.methods() == ["prefill", "generate"]
    assert held.shown == ROWS[:3]
    ask(held, Model(model="tiny", stamp=(1, 2)), Offer(ROWS[:3]))
    assert client.methods() == ["load", "prefill", "generate"]
    assert client.log == ["restart"]


@pytest.mark.parametrize(
    ("offer", "choice"),
    [
        (Offer(ROWS[:1], "Do.", 3, 7), {"instruction": "Do.", "shots": 3, "seed": 7}),
        (Offer(ROWS[:1], shots="all"), {"instruction": "", "shots": "all"}),
        (Offer(ROWS[:1], shots=0, seed=0), {"instruction": "", "shots": 0, "seed": 0}),
    ],
)
def test_the_session_is_told_only_what_was_chosen(offer: Offer, choice: Params) -> None:
    assert offer.params() == {"demonstrations": [{"input": "row 0", "output": "label 0"}], **choice}
    assert Model(run="last", use_adapter=False).params() == {"run": "last", "use_adapter": False}


@pytest.mark.parametrize("error", [Cancelled("stopped"), FitError("too long", "shorten")])
def test_what_was_not_read_is_read_the_next_time(
    held: Held, client: FakeClient, error: Exception
) -> None:
    ask(held, TINY, TWO)
    client.fails["prefill"] = error
    with pytest.raises(type(error)):
        ask(held, TINY, Offer())
    assert not held.shown and not held.facts
    client.methods()
    ask(held, TINY, TWO)
    assert client.methods() == ["prefill", "generate"]


def test_a_model_that_cannot_be_loaded_leaves_no_other_in_its_place(
    held: Held, client: FakeClient
) -> None:
    ask(held, TINY, TWO)
    client.fails["load"] = RunError("no such model")
    with pytest.raises(RunError):
        held.load(Model(model="other"))
    client.methods()
    ask(held, TINY, TWO)
    assert client.methods() == ["load", "prefill", "generate"]
    assert client.log == ["restart"]


def test_a_cancel_between_two_calls_stops_before_the_second(held: Held, client: FakeClient) -> None:
    def hear(method: str, params: Params) -> None:
        if params.get("method") == "load":
            held.cancel()

    with pytest.raises(Cancelled):
        ask(held, TINY, TWO, hear)
    assert client.methods() == ["load"]
    ask(held, TINY, TWO)
    assert client.methods() == ["prefill", "generate"]


def test_a_session_that_was_killed_gives_up_and_is_followed_by_another(
    held: Held, client: FakeClient
) -> None:
    def hear(method: str, params: Params) -> None:
        if params.get("method") == "generate":
            held.kill()
            client.dies = True

    with pytest.raises(Cancelled, match="stuck, and ended"):
        ask(held, TINY, TWO, hear)
    client.methods()
    ask(held, TINY, TWO)
    assert client.methods() == ["load", "prefill", "generate"]


def test_a_load_that_is_left_is_not_waited_for(held: Held, client: FakeClient) -> None:
    client.fails["load"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        held.load(TINY)
    held.load(TINY)
    assert client.log == ["restart", "kill", "restart"]


def test_why_a_session_ended_is_told_once(held: Held, client: FakeClient) -> None:
    told: list[str] = []

    def hear(method: str, params: Params) -> None:
        told.extend([params["words"]] if method == "ended" else [])

    ask(held, TINY, TWO, hear)
    client.is_alive, client.ended = False, RunError("killed")
    ask(held, TINY, TWO, hear)
    assert told == ["killed"]
    client.dies = True
    with pytest.raises(RunError):
        held.call("generate", {"input": "?"}, hear)
    ask(held, TINY, TWO, hear)
    assert told == ["killed"]


def test_a_session_that_cannot_be_started_is_an_error_of_two_lines(
    held: Held, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(client, "restart", fail)
    with pytest.raises(RunError, match="no session: Cannot allocate memory"):
        held.load(TINY)


def test_a_prompt_cache_comes_in_place_of_what_was_read(held: Held, client: FakeClient) -> None:
    ask(held, TINY, Offer(ROWS[:2], shots=5, seed=3))
    offer = held.load_cache("x.safetensors", Offer(ROWS[:2], shots=5, seed=3))
    assert offer == Offer((Example("a", "b"),), "Do.", 5, 3)
    client.methods()
    ask(held, TINY, offer)
    assert client.methods() == ["generate"]
    client.fails["load_cache"] = RunError("damaged")
    with pytest.raises(RunError):
        held.load_cache("y.safetensors", offer)
    client.methods()
    ask(held, TINY, offer)
    assert client.methods() == ["generate"]


@pytest.fixture
def real() -> Any:
    with SessionClient() as client:
        yield client


@pytest.mark.long
def test_after_a_death_a_real_session_shows_the_same_and_answers_the_same(
    real: SessionClient, tmp_path: Path
) -> None:
    """Of two side by side, both come back."""
    adapter = str(write_adapter(tmp_path / "adapter", LORAS["lora"], 1))
    both = Model(model="tiny", beside=(beside(adapter),))
    pieces = {"base": "", adapter: ""}

    def hear(method: str, params: Params) -> None:
        if method == "token":
            pieces[params["subject"]] += params["text"]

    held = Held(real)
    held.load(both)
    held.read(Offer((Example("mine", "first"),), shots=3))
    offer = Offer((Example("mine", "first"), *ROWS), shots=3)
    held.read(offer)
    shown, answer = held.shown, held.call("generate", {"input": "row 5", "max_tokens": 9}, hear)
    assert shown[0] == Example("mine", "first") and len(shown) == 3
    texts = {name: one["text"] for name, one in answer["answers"].items()}
    assert texts == pieces and answer["text"] == texts["base"]
    os.kill(real.pid or 0, signal.SIGKILL)
    while real.ended is None:
        time.sleep(0.01)
    assert held.load(both) is not None and held.read(offer)
    assert held.shown == shown
    again = held.call("generate", {"input": "row 5", "max_tokens": 9})["answers"]
    assert {name: one["text"] for name, one in again.items()} == texts
