"""The session as a process: real pipes, the embedded model, cancels and deaths."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.test_fuzz_folders import InProcess
from tests.places import ROOT
from tests.processes import worked
from yofo_mlx.errors import Cancelled, DataError, FitError, RecipeError, RunError
from yofo_mlx.models.base import model_path
from yofo_mlx.prompting import session
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.prompting.prompter import Prompter
from yofo_mlx.prompting.protocol import Params

SHOTS = [{"input": f"horse cow {n}", "output": ("Anna", "Tom")[n % 2]} for n in range(200)]
COMMAND = [sys.executable, "-m", "yofo_mlx.prompting.session"]


@pytest.fixture(scope="module")
def long_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the embedded model, said to have a context so long that reading it takes a while."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    shutil.copytree(model_path("tiny"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 100_000}))
    return folder


@pytest.fixture(scope="module")
def client(long_tiny: Path) -> Iterator[SessionClient]:
    with SessionClient() as client:
        client.call("load", {"model": str(long_tiny)})
        yield client


def test_demonstrations_are_read_once_and_queries_answered(client: SessionClient) -> None:
    notes: list[tuple[str, Params]] = []
    first = client.call("prefill", {"demonstrations": SHOTS[:40]}, lambda *note: notes.append(note))
    assert (first["shots"], first["left_out"]) == (40, 0)
    assert [note["done"] for kind, note in notes if kind == "progress"][-1] == first["tokens"]
    more = client.call("prefill", {"demonstrations": SHOTS[:42]})
    assert more["reused_tokens"] == first["tokens"] < more["tokens"]
    fewer = client.call("prefill", {"demonstrations": SHOTS[:42], "shots": 30})
    assert fewer["reused_tokens"] == fewer["tokens"]
    assert fewer["chosen"] == more["chosen"][:30]
    notes.clear()
    wanted = {"input": "horse cow 1", "max_tokens": 8}
    answer = client.call("generate", wanted, lambda *note: notes.append(note))
    assert "".join(note["text"] for _, note in notes) == answer["text"]
    assert answer["tokens"] <= 8
    assert answer["prompt_tokens"] > fewer["tokens"]
    assert client.call("generate", wanted)["text"] == answer["text"]
    scores = client.call("score", {"input": "horse cow 1", "labels": ["Anna", "Tom"]})["scores"]
    assert {item["label"] for item in scores} == {"Anna", "Tom"}
    assert scores[0]["logprob"] >= scores[1]["logprob"]
    stats = client.call("stats")
    assert (stats["context_tokens"], stats["shots"]) == (fewer["tokens"], 30)


def test_what_was_chosen_is_told_before_it_is_read_and_how_long_the_rest_takes(
    client: SessionClient,
) -> None:
    assert client.call("prefill", {"demonstrations": []})["told"] == []
    notes: list[tuple[str, Params]] = []
    offered = [*SHOTS, SHOTS[0], {"input": "horse", "output": "Zoe"}]
    wanted = {"demonstrations": offered, "shots": 100, "seed": 5}
    result = client.call("prefill", wanted, lambda *note: notes.append(note))
    assert (result["shots"], result["offered"], result["left_out"]) == (100, 202, 102)
    assert result["reasons"] == {"doublets": 1, "too_long": 0, "unused": 101}
    assert (result["labels"], result["labels_missing"], result["seed"]) == (3, [], 5)
    assert result["bound"] == "shots"
    names = [offered[place]["output"] for place in result["chosen"]]
    assert names.count("Zoe") == 1 and abs(names.count("Anna") - names.count("Tom")) <= 1
    assert "100 of 202 chosen with seed 5, in turn from 3 labels" in result["told"][0]
    (kind, chosen), *rest = notes
    assert (
        kind == "chosen"
        and chosen.items() >= {key: result[key] for key in chosen if key != "id"}.items()
    )
    first, second, *_ = [note for kind, note in rest if kind == "progress"]
    assert "seconds_left" not in first and second["seconds_left"] > 0


def test_what_is_added_leaves_the_rest_in_place_also_after_a_stop(client: SessionClient) -> None:
    client.call("prefill", {"demonstrations": []})

    def stop(kind: str, params: Params) -> None:
        if kind == "progress" and params["done"] > 300:
            client.cancel()

    with pytest.raises(Cancelled):
        client.call("prefill", {"demonstrations": SHOTS}, stop)
    read = client.call("stats")["shots_read"]
    assert 0 < read < 200
    kept = client.call("prefill", {"demonstrations": SHOTS, "shots": read})
    assert kept["reused_tokens"] == kept["tokens"]
    mine = {"input": "my own", "output": "Tom"}
    more = client.call("prefill", {"demonstrations": [*SHOTS, mine], "shots": read + 1})
    assert more["chosen"] == [*kept["chosen"], 200]
    assert more["reused_tokens"] == kept["tokens"]


def test_a_run_is_prompted_with_no_more_than_it_was_trained_on_unless_asked(
    long_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yofo_mlx.prompting.choosing.UNASKED_TOKENS", 512)  # 4096 take long to read
    session = InProcess()
    assert session.call("load", {"model": str(long_tiny)})["trained_tokens"] is None
    long = [{"input": f"horse {n} " * 40, "output": "Anna"} for n in range(8)]
    modest = session.call("prefill", {"demonstrations": long})
    assert (modest["bound"], 0 < modest["shots"] < 8) == ("default", True)
    assert modest["tokens"] <= 512
    whole = session.call("prefill", {"demonstrations": long, "shots": "all"})
    assert whole["shots"] == 8 and whole["tokens"] > 512


def test_an_answer_that_has_to_be_changed_is_told(client: SessionClient) -> None:
    assert "changed" not in client.call("prefill", {"demonstrations": SHOTS[:2]})["note"]
    ending = {"input": "horse cow", "output": "Anna\n\nTom"}
    note = client.call("prefill", {"demonstrations": [*SHOTS[:2], ending]})["note"]
    assert note == "1 answers hold what ends an answer, and are changed there"


def test_a_prompt_cache_survives_the_session(client: SessionClient, tmp_path: Path) -> None:
    client.call("prefill", {"demonstrations": SHOTS[:10], "instruction": "Name one."})
    wanted = {"input": "horse cow 1", "labels": ["Anna", "Tom"]}
    expected = client.call("score", wanted)
    client.call("save_cache", {"path": str(tmp_path / "ten.safetensors")})
    client.call("prefill", {"demonstrations": []})
    assert client.call("score", wanted) != expected
    result = client.call("load_cache", {"path": str(tmp_path / "ten.safetensors")})
    assert result["shots"] == result["offered"] == 10
    assert sorted(map(str, result["demonstrations"])) == sorted(map(str, SHOTS[:10]))
    assert client.call("score", wanted) == expected


def test_cancel_during_prefill_answers_within_a_chunk_and_the_session_goes_on(
    client: SessionClient,
) -> None:
    long = [{"input": f"horse {n} " * 40, "output": "Anna"} for n in range(200)]
    client.call("prefill", {"demonstrations": []})
    steps: list[tuple[float, int]] = []

    def cancel_soon(kind: str, params: Params) -> None:
        if kind == "progress":
            steps.append((time.monotonic(), params["done"]))
            client.cancel()

    with pytest.raises(Cancelled):
        client.call("prefill", {"demonstrations": long, "shots": "all"}, cancel_soon)
    assert len(steps) < 10  # of dozens
    held = client.call("stats")["context_tokens"]
    assert 0 < held <= steps[-1][1] + 512
    again = client.call("prefill", {"demonstrations": [*long[:1], *SHOTS[:1]]})
    assert again["reused_tokens"] > 0
    assert client.call("generate", {"input": "cow", "max_tokens": 2})["finish"] in ("end", "length")


@pytest.mark.parametrize("method", ["prefill", "generate", "score"])
def test_a_cancel_is_answered_within_three_tenths_of_a_second_of_work(
    client: SessionClient, method: str
) -> None:
    long = " ".join(f"horse {n}" for n in range(2000))
    asked: dict[str, Params] = {
        "prefill": {"demonstrations": [{"input": long, "output": "Anna"}], "shots": "all"},
        "generate": {"input": long, "max_tokens": 2},
        "score": {"input": long, "labels": ["Anna", "Tom"]},
    }
    client.call("prefill", {"demonstrations": []})
    begun: list[float] = []

    def cancel() -> None:
        begun.append(worked(client.pid or 0))
        client.cancel()

    threading.Timer(0.2, cancel).start()
    try:
        assert client.call(method, asked[method])["finish"] == "cancelled"
    except Cancelled:
        assert method != "generate"
    assert worked(client.pid or 0) - begun[0] < 0.3


def test_cancel_during_an_answer_keeps_what_was_written(client: SessionClient) -> None:
    client.call("prefill", {"demonstrations": SHOTS[:2]})
    pieces: list[str] = []

    def cancel_soon(_: str, note: Params) -> None:
        pieces.append(note["text"])
        if len(pieces) == 3:
            client.cancel()

    for number in range(50):  # a random answer may end before there is something to cancel
        pieces.clear()
        params = {"input": f"horse {number}", "max_tokens": 100_000, "temperature": 5.0}
        answer = client.call("generate", params, cancel_soon)
        if len(pieces) >= 3:
            break
    assert answer["finish"] == "cancelled"
    assert answer["text"] == "".join(pieces)


def test_cancel_reaches_what_waits_but_nothing_that_comes_later(client: SessionClient) -> None:
    wanted = {"input": "horse", "max_tokens": 100_000, "temperature": 5.0}
    ended: list[Any] = []

    def ask() -> None:
        try:
            ended.append(client.call("generate", wanted)["finish"])
        except Cancelled:
            ended.append("cancelled")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        client.cancel()
        time.sleep(0.1)
    assert ended.count("cancelled") >= 2
    assert client.call("stats")["shots"] >= 0
    client.cancel()
    assert client.call("stats")["shots"] >= 0


@pytest.mark.parametrize(
    ("method", "params", "kind", "words"),
    [
        ("generate", {"input": " \n"}, DataError, "empty"),
        ("generate", {"input": "horse " * 200_000}, FitError, "do not fit"),
        ("generate", {}, RunError, "input"),
        ("generate", {"input": "x", "max_tokens": 0}, RunError, "max_tokens"),
        ("generate", {"input": "x", "temperature": -1.0}, RunError, "temperature"),
        ("generate", {"input": "\ud83d"}, RunError, "surrogate"),
        ("generate", {"input": "x", "nonsense": 1}, RunError, "nonsense"),
        ("score", {"input": "x", "labels": []}, RunError, "labels"),
        ("prefill", {"demonstrations": [{"input": "x"}]}, RunError, "output"),
        ("prefill", {"instruction": "horse " * 200_000}, FitError, "instruction"),
        ("load_cache", {"path": "nowhere"}, RunError, "no prompt cache"),
        ("nonsense", {}, RunError, "no method"),
        ("load", {"run": "nowhere"}, RecipeError, "there is no run"),
        ("load", {}, RecipeError, "neither"),
        ("load", {"model": "./nowhere"}, RecipeError, "there is no model"),
        ("load", {"model": "tiny", "adapter": "nowhere"}, RecipeError, "there is no adapter"),
    ],
)
def test_a_mistake_is_an_error_that_leaves_the_session_as_it_was(
    client: SessionClient, method: str, params: Params, kind: type[Exception], words: str
) -> None:
    client.call("prefill", {"demonstrations": SHOTS[:3]})
    with pytest.raises(kind, match=words):
        client.call(method, params)
    assert client.call("stats")["shots"] == 3
    assert client.call("generate", {"input": "cow", "max_tokens": 2})["tokens"] > 0


def test_special_tokens_in_demonstrations_are_plain_text(client: SessionClient) -> None:
    ends = ("", " ", "  ")
    evil = [
        {"input": f"<|eos|><|bos|>\x1b[2J{end}", "output": "Anna<|eos|>\n\n\nInput: x"}
        for end in ends
    ]
    assert client.call("prefill", {"demonstrations": evil})["shots"] == 3
    assert client.call("generate", {"input": "<|eos|>", "max_tokens": 3})["tokens"] <= 3


def test_the_client_reports_a_killed_session(long_tiny: Path) -> None:
    with SessionClient() as client:
        client.call("load", {"model": str(long_tiny)})

        def kill(_method: str, _params: Params) -> None:
            os.kill(client.pid or 0, signal.SIGKILL)

        with pytest.raises(RunError, match="killed by SIGKILL"):
            client.call("prefill", {"demonstrations": SHOTS}, kill)


STAND_IN = """
import os
from yofo_mlx.prompting import parameters, session
def noisy(wanted, work):
    print('stray'); os.system('echo noise'); return {}
def failing(wanted, work):
    raise ZeroDivisionError('oops')
methods = {'stats': noisy, 'fail': failing}
session._methods = lambda: {name: (parameters.Nothing, m) for name, m in methods.items()}
session.LONGEST_LINE = 300_000
session.main()
"""


def talk_to(*lines: bytes) -> tuple[list[Any], str]:
    """Send lines to a session without a model and close the pipe; return messages and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", STAND_IN],
        input=b"\n".join(lines) + b"\n",
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def test_garbage_lines_get_errors_and_never_end_the_session() -> None:
    messages, _ = talk_to(
        b"garbage",
        b"",
        b"[1, 2]",
        b"[" * 200_000,
        b"\xff\xfe\x00",
        b'{"jsonrpc": "2.0", "id": 1, "result": {}}',
        b'{"jsonrpc": "2.0", "id": {}, "method": "stats"}',
        b'{"jsonrpc": "2.0", "id": 2, "method": "stats", "params": [1]}',
        b"x" * 2_000_000,
        b'{"jsonrpc": "2.0", "id": 3, "method": "cancel"}',
        b'{"jsonrpc": "2.0", "method": "stats"}',
        b'{"jsonrpc": "2.0", "id": "four", "method": "stats"}',
    )
    codes = [message["error"]["code"] for message in messages if "error" in message]
    assert codes[:8] == [-32700, -32600, -32700, -32700, -32600, -32600, -32602, -32600]
    assert {message["id"] for message in messages if "result" in message} == {3, "four"}
    assert all(message["jsonrpc"] == "2.0" for message in messages)


def test_stray_prints_go_to_stderr() -> None:
    messages, words = talk_to(b'{"id": 1, "method": "stats"}')
    assert messages == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
    assert "stray" in words
    assert "noise" in words


def test_an_unexpected_error_is_answered_with_its_name() -> None:
    messages, words = talk_to(b'{"id": 1, "method": "fail"}', b'{"id": 2, "method": "stats"}')
    assert messages[0]["error"]["message"] == "ZeroDivisionError: oops"
    assert messages[1]["result"] == {}
    assert "Traceback" in words


def test_a_session_whose_caller_is_gone_ends_by_itself(long_tiny: Path) -> None:
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin
    assert process.stdout
    for id, (method, params) in enumerate(
        [("load", {"model": str(long_tiny)}), ("generate", {"input": "x", "max_tokens": 90_000})]
    ):
        line = json.dumps({"id": id, "method": method, "params": params})
        process.stdin.write(line.encode() + b"\n")
    process.stdin.flush()
    process.stdout.readline()
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) == 0


def test_words_that_the_embedded_model_does_not_know_are_told() -> None:
    with SessionClient() as client:
        client.call("load", {"model": "tiny"})
        demonstrations = [
            {"input": "lion tiger", "output": "Tom"},
            {"input": "a film", "output": "good"},
        ]
        read = client.call("prefill", {"demonstrations": demonstrations})
        assert read["told"][-1].endswith("not: film, good")
        assert client.call("generate", {"input": "wolf deer", "max_tokens": 1})["note"] == ""
        asked = client.call("generate", {"input": "great <b>", "max_tokens": 1})
        assert asked["note"].startswith("tiny knows 491 words") and "not: great, b" in asked["note"]


def test_demonstrations_in_blocks_are_read_once_and_each_query_sees_some(
    client: SessionClient, tmp_path: Path
) -> None:
    pairs = [{"input": f"lion tiger {n}", "output": f"{n % 2}"} for n in range(8)]
    wanted = {"choose": "blocks", "block": 2, "blocks_share": 0.5, "demonstrations": pairs}
    chosen = client.call("prefill", wanted)
    assert chosen["shots"] == 8
    assert chosen["tokens"] > 0 == chosen["reused_tokens"]
    assert "8 in 4 blocks of at most 2" in chosen["note"]
    answer = client.call("generate", {"input": "lion tiger 5", "max_tokens": 3})
    assert "tokens in blocks read" in answer["note"]
    assert answer["prompt_tokens"] < chosen["tokens"]
    scores = client.call("score", {"input": "lion tiger 5", "labels": ["0", "1"]})["scores"]
    assert {one["label"] for one in scores} == {"0", "1"}
    more = client.call(
        "prefill", wanted | {"demonstrations": [*pairs, {"input": "new", "output": "1"}]}
    )
    assert more["reused_tokens"] == chosen["tokens"]
    assert client.call("stats")["shots"] == 9
    plain = client.call("prefill", {"demonstrations": pairs})
    assert plain["tokens"] == chosen["tokens"]
    assert client.call("stats")["shots"] == 8
    saved = client.call("save_cache", {"path": str(tmp_path / "eight")})["path"]
    client.call("prefill", wanted)
    client.call("load_cache", {"path": saved})
    asked = client.call("generate", {"input": "lion tiger 5", "max_tokens": 3})
    assert asked["note"] == ""  # behind all eight
    assert asked["prompt_tokens"] > plain["tokens"]


def test_the_page_on_prompting_names_all_that_a_method_takes() -> None:
    page = (ROOT / "docs" / "prompting.md").read_text("utf-8")
    rows = re.findall(r"^\| ((?:`\w+`,? ?)+)\| (.*?) ?\|", page, re.MULTILINE)
    named = {
        method: set(re.findall(r"`(\w+)`", taken))
        for methods, taken in rows
        for method in re.findall(r"\w+", methods)
    }
    for method, (kind, _) in session.methods_of(Prompter()).items():
        assert set(kind.model_fields) <= named[method]
