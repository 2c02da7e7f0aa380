"""`yofo serve` from the command line: what is refused first, and a server from start to Ctrl-C."""

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from yofo_mlx.commands import serve as command
from yofo_mlx.serving.server import Server


@pytest.fixture
def teams(yofo: Any, tmp_path: Path) -> str:
    rows = "".join(f"cat {n} -> {'one' if n % 2 else 'two'}\n" for n in range(6))
    (tmp_path / "rows.txt").write_text(rows)
    assert yofo("demos", "add", "teams", tmp_path / "rows.txt")[0] == 0
    return "teams"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny", "--host", "0.0.0.0"], "whoever reaches this machine"),
        (["tiny", "--key", "short"], "16 or more"),
        (["tiny", "--demos", "nothing"], "no demonstration set"),
        (["tiny", "--demos", __file__], "make one of that file: yofo demos add test-serve /"),
        (["nobody"], "nobody"),
        (["tiny", "--port", "70000"], "65535"),
        (["tiny", "--origin", "*"], "no origin"),
        (["tiny", "--at-once", "0"], "at-once"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_loaded(
    yofo: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr(command, "_served", lambda *_: pytest.fail("a model is loaded"))
    code, out, err = yofo("serve", *arguments)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("chat", "tiny", "--health"), "--health looks at demonstrations"),
        (("eval", "tiny"), "yofo eval --model tiny --data NEW.csv"),
        (("chat", "nobody"), "there is no run 'nobody'"),
        (("eval", "nobody"), "there is no run 'nobody'"),
    ],
)
def test_chat_and_eval_take_a_base_model_by_its_name_as_serve_does(
    yofo: Any, call: tuple[str, ...], words: str
) -> None:
    code, _, err = yofo(*call)
    assert code == 2 and words in err


def test_a_port_that_is_taken_is_told(yofo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_served", lambda *_: pytest.fail("a model is loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = yofo("serve", "tiny", "--port", taken.getsockname()[1])
    assert code == 2
    assert "give another --port" in err


Found = dict[str, Any]


@pytest.fixture
def served(yofo: Any, teams: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that serves a set, asks, and presses Ctrl-C: what was found, and told."""
    tell = command._tell

    def serve(*options: str) -> tuple[int, Found, str]:
        found: Found = {}

        def told(server: Server, gate: Any) -> None:
            tell(server, gate)
            threading.Thread(target=asks, args=(server.url, found), daemon=True).start()

        monkeypatch.setattr(command, "_tell", told)
        code, out, err = yofo("serve", "tiny", "--demos", teams, "--port", "0", *options)
        assert out.startswith("http://127.0.0.1")
        return code, found, err

    return serve


def asks(url: str, found: Found) -> None:
    try:
        with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            found["models"] = [one.id for one in client.models.list()]
            messages: Any = [{"role": "user", "content": "cat 7"}]
            answer: Any = client.chat.completions.create(
                model="tiny:teams", messages=messages, max_tokens=4
            )
            found["cached"] = answer.usage.prompt_tokens_details.cached_tokens
            found["text"] = answer.choices[0].message.content
            body = {"input": "cat 7"}
            found["labels"] = client.post("/classify", body=body, cast_to=object)
    finally:
        os.kill(os.getpid(), signal.SIGINT)


def test_a_set_is_pinned_and_served_until_ctrl_c(served: Any) -> None:
    code, found, err = served()
    assert code == 0, err
    assert found["models"] == ["tiny:teams", "tiny"]
    assert found["cached"] > 0
    assert set(found["labels"]["data"][0]["probabilities"]) == {"one", "two"}
    assert "kept on disk" in err
    assert err.count("tiny, no adapter") == err.count("loading the model") == 1


@pytest.mark.long
def test_a_server_started_again_takes_the_set_back_and_answers_as_a_chat(
    yofo: Any, served: Any
) -> None:
    _, first, _ = served()
    _, again, err = served()
    assert again["text"] == first["text"]
    assert f"({again['cached']} reused)" in err
    assert "kept on disk" not in err
    asked = ("--query", "cat 7", "--max-tokens", 4)
    _, out, _ = yofo("chat", "--model", "tiny", "--demos", "teams", *asked)
    assert out.strip() == first["text"].replace("\n", "\\n")
