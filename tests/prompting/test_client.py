"""The client against small stand-in sessions: no model is needed to talk, cancel and die."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from yofo_mlx.errors import Cancelled, DataError, FitError, RunError, YofoError
from yofo_mlx.prompting import protocol
from yofo_mlx.prompting.client import SessionClient

STAND_IN = """
import json, os, sys
def say(**message):
    print(json.dumps(message), flush=True)
waiting = None
for line in sys.stdin:
    message = json.loads(line)
    id, method, params = message.get("id"), message["method"], message["params"]
    if method == "echo":
        say(method="token", params={"id": id, "text": "a"})
        say(method="token", params={"id": id, "text": "b"})
        say(id=id, result=params)
    elif method == "wait":
        waiting = id
    elif method == "cancel" and waiting is not None:
        say(id=waiting, error={"code": -32000, "message": "given up", "data": {"exit_code": 130}})
        waiting = None
    elif method == "fail":
        data = {"hint": "do this", "exit_code": params["exit_code"]}
        say(id=id, error={"code": -32000, "message": "wrong", "data": data})
    elif method == "garbage":
        print("Fetching 3 files: 100%", flush=True)
        say(id=id, result={})
    elif method == "die":
        print("libc++abi: Insufficient Memory", file=sys.stderr, flush=True)
        os.kill(os.getpid(), params["signal"])
"""


@pytest.fixture
def client() -> Iterator[SessionClient]:
    with SessionClient([sys.executable, "-c", STAND_IN]) as client:
        yield client


def _background(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run a call in a thread; its result or error lands in the list."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_a_call_returns_the_result_and_hands_over_notifications_in_order(
    client: SessionClient,
) -> None:
    notes: list[tuple[str, str]] = []
    result = client.call("echo", {"x": "ü"}, lambda kind, note: notes.append((kind, note["text"])))
    assert result == {"x": "ü"}
    assert notes == [("token", "a"), ("token", "b")]


def test_calls_from_many_threads_get_their_own_results(client: SessionClient) -> None:
    pairs = [_background(lambda n=n: client.call("echo", {"n": n})) for n in range(20)]
    for number, (thread, outcome) in enumerate(pairs):
        thread.join(60)
        assert outcome == [{"n": number}]


def test_cancel_ends_a_waiting_call(client: SessionClient) -> None:
    client.start()
    thread, outcome = _background(lambda: client.call("wait"))
    while not outcome:
        client.cancel()
        time.sleep(0.01)
    thread.join(60)
    assert isinstance(outcome[0], Cancelled)


@pytest.mark.parametrize(("exit_code", "kind"), [(1, RunError), (3, DataError), (4, FitError)])
def test_an_error_keeps_its_kind_and_hint(
    client: SessionClient, exit_code: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        client.call("fail", {"exit_code": exit_code})
    assert (caught.value.message, caught.value.hint) == ("wrong", "do this")  # type: ignore[attr-defined]


def test_lines_that_are_no_messages_are_passed_over(client: SessionClient) -> None:
    assert client.call("garbage") == {}


def test_the_client_reports_a_killed_session_and_can_restart(client: SessionClient) -> None:
    with pytest.raises(RunError, match="killed by SIGKILL") as caught:
        client.call("die", {"signal": 9})
    assert "Insufficient Memory" in caught.value.hint
    assert not client.is_alive
    with pytest.raises(RunError, match="killed by SIGKILL"):
        client.call("echo")
    client.restart()
    assert client.call("echo", {"n": 1}) == {"n": 1}


def test_a_death_from_outside_ends_every_waiting_call(client: SessionClient) -> None:
    client.call("echo")
    pairs = [_background(lambda: client.call("wait")) for _ in range(3)]
    time.sleep(0.05)
    subprocess.run(["kill", "-9", str(client.pid)], check=True)
    for thread, outcome in pairs:
        thread.join(60)
        assert isinstance(outcome[0], RunError)


def test_closing_ends_the_process_and_waiting_calls(client: SessionClient) -> None:
    client.call("echo")
    thread, outcome = _background(lambda: client.call("wait"))
    client.close()
    thread.join(60)
    assert not thread.is_alive()
    assert isinstance(outcome[0], YofoError)
    with pytest.raises(RunError, match="closed"):
        client.call("echo")


def test_a_session_that_is_stuck_is_killed_at_once(client: SessionClient) -> None:
    client.call("echo")
    os.kill(client.pid or 0, signal.SIGSTOP)
    thread, outcome = _background(lambda: client.call("echo", {"x": "y" * 1_000_000}))
    time.sleep(0.1)  # the pipe is full by now
    client.kill()
    thread.join(60)
    assert isinstance(outcome[0], RunError) and not client.is_alive


def test_closing_does_not_wait_for_a_full_pipe(
    client: SessionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yofo_mlx.prompting.client._PATIENCE", 0.2)
    client.call("echo")
    os.kill(client.pid or 0, signal.SIGSTOP)
    thread, outcome = _background(lambda: client.call("echo", {"x": "y" * 1_000_000}))
    time.sleep(0.1)
    client.close()
    thread.join(60)
    assert isinstance(outcome[0], RunError)


def test_a_program_that_does_not_start_is_an_error_with_its_words() -> None:
    with (
        SessionClient([sys.executable, "-c", "raise SystemExit('no such thing')"]) as client,
        pytest.raises(RunError, match="exit status 1") as caught,
    ):
        client.call("load")
    assert "no such thing" in caught.value.hint


def test_a_line_that_is_no_request_names_the_reason() -> None:
    for line, code in [
        (b"{", protocol.PARSE_ERROR),
        (b"[" * 100_000, protocol.PARSE_ERROR),
        (b"\xff", protocol.PARSE_ERROR),
        (b"[]", protocol.INVALID_REQUEST),
        (b'{"id": true, "method": "x"}', protocol.INVALID_REQUEST),
        (b'{"id": 1}', protocol.INVALID_REQUEST),
        (b'{"id": 1, "method": "x", "params": []}', protocol.INVALID_PARAMS),
    ]:
        with pytest.raises(protocol.ProtocolError) as caught:
            protocol.parse(line)
        assert caught.value.code == code


def test_no_text_breaks_a_line() -> None:
    text = "a\nb\r\u2028\x85\ud800"
    line = protocol.request_line(1, "echo", {"text": text})
    assert len(line.splitlines()) == 1
    assert protocol.parse(line) == protocol.Request(1, "echo", {"text": text})


def test_the_client_imports_neither_mlx_nor_textual() -> None:
    script = (
        "import sys, yofo_mlx.prompting.client, yofo_mlx.prompting.protocol;"
        "sys.exit(any(name.split('.')[0] in ('mlx', 'mlx_lm', 'textual') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_a_request_that_no_session_would_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LONGEST_LINE", 1000)
    with SessionClient([sys.executable, "-c", STAND_IN]) as client:
        with pytest.raises(DataError, match="too much for a session"):
            client.call("echo", {"text": "x" * 1000})
        assert client.call("echo", {"text": "y"})["text"] == "y"
