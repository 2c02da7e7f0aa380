"""The server, asked by the real client of OpenAI's interface."""

import json
import math
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.serving.running import LIMIT, Running, running
from yofo_mlx.serving import connection
from yofo_mlx.serving import server as module
from yofo_mlx.serving.gate import Gate

QUERIES = [(f"query number {n}", 3 + n % 5) for n in range(24)]
FIRST, MOST = QUERIES[0]
SET = "run:colours"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(QUERIES) as one:
        yield one


def ask(client: Any, text: str, most: int = MOST, model: str = SET, **options: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(
        model=model, messages=messages, max_tokens=most, **options
    )


def streamed(chunks: Any) -> tuple[str, list[Any]]:
    found = list(chunks)
    pieces = [one.choices[0].delta.content or "" for one in found if one.choices]
    return "".join(pieces), found


def test_an_answer_is_that_of_a_session_whole_and_as_a_stream(server: Running) -> None:
    with server.client() as client:
        answer = ask(client, FIRST)
        assert answer.choices[0].message.content == server.said[FIRST, MOST]
        assert answer.choices[0].finish_reason == "length"
        assert answer.model == SET
        usage = answer.usage
        assert (usage.completion_tokens, usage.total_tokens) == (MOST, usage.prompt_tokens + MOST)
        assert 0 < usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens
        options = {"stream": True, "stream_options": {"include_usage": True}}
        text, chunks = streamed(ask(client, FIRST, **options))
        assert text == server.said[FIRST, MOST]
        assert chunks[-1].usage == usage
        assert {one.id for one in chunks} == {chunks[0].id}
        assert [one.choices[0].finish_reason for one in chunks[-3:-1]] == [None, "length"]
        went_on = client.completions.create(model=SET, prompt=FIRST, max_tokens=MOST)
        assert went_on.choices[0].text == server.said[FIRST, MOST]


def test_many_clients_get_their_own_answers(server: Running) -> None:
    client = server.client()

    def one(query: tuple[str, int]) -> str:
        if query[1] % 2:
            return streamed(ask(client, *query, stream=True))[0]
        return str(ask(client, *query).choices[0].message.content)

    asked = QUERIES * 2
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, asked)) == [server.said[query] for query in asked]


def test_log_probabilities_are_those_of_each_token(server: Running) -> None:
    with server.client() as client:
        told = ask(client, FIRST, logprobs=True, top_logprobs=3).choices[0].logprobs.content
        assert len(told) == MOST
        for one in told:
            assert one.token == one.top_logprobs[0].token  # the greedy answer is the likeliest
            assert one.logprob == one.top_logprobs[0].logprob <= 0
            shares = [math.exp(other.logprob) for other in one.top_logprobs]
            assert shares == sorted(shares, reverse=True) and sum(shares) <= 1 + 1e-5
        text = client.completions.create(model="run", prompt="ab", max_tokens=4, logprobs=2)
        legacy = text.choices[0].logprobs
        assert len(legacy.tokens) == len(legacy.token_logprobs) == len(legacy.text_offset) == 4
        assert [len(one) for one in legacy.top_logprobs] == [2] * 4
        chunks = streamed(ask(client, FIRST, logprobs=True, stream=True))[1]
        tokens = [one.choices[0].logprobs for one in chunks if one.choices]
        assert [part.logprob for one in tokens if one for part in one.content] == pytest.approx(
            [one.logprob for one in told], abs=1e-4
        )


def test_a_seed_draws_the_same_again_alone_and_beside_others(server: Running) -> None:
    drawn = {"temperature": 1.0, "top_p": 0.9, "seed": 7}
    with server.client() as client, ThreadPoolExecutor(6) as pool:
        alone = ask(client, FIRST, 8, **drawn).choices[0].message.content
        beside = pool.map(lambda _: ask(client, FIRST, 8, **drawn), range(6))
        assert {one.choices[0].message.content for one in beside} == {alone}
        others = {
            ask(client, FIRST, 8, **drawn | {"seed": n}).choices[0].message.content
            for n in range(4)
        }
        assert len(others) > 1


def test_an_answer_ends_where_a_stop_sequence_begins(server: Running) -> None:
    whole = server.said[FIRST, MOST]
    stop, begun = whole[1:3], whole[:1].strip("\ufffd")
    with server.client() as client:
        for options in ({"stop": stop}, {"stop": ["never", stop]}):
            choice = ask(client, FIRST, **options).choices[0]
            assert (choice.message.content, choice.finish_reason) == (begun, "stop")
        text, _ = streamed(ask(client, FIRST, stop=stop, stream=True))
        assert text == begun


def test_a_chat_without_a_set_reads_what_is_new_alone(server: Running) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a" * 40}]
    with server.client() as client:
        first = client.chat.completions.create(model="run", messages=messages, max_tokens=3)
        messages += [{"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
        second = client.chat.completions.create(model="run", messages=messages, max_tokens=3)
    before = first.usage.prompt_tokens
    assert before - 2 <= second.usage.prompt_tokens_details.cached_tokens <= before


def test_labels_have_probabilities(server: Running) -> None:
    with server.client() as client:

        def classify(**body: Any) -> Any:
            return client.post("/classify", body=body, cast_to=object)

        found = classify(model=SET, input=["x1", "x2"])
        for row in found["data"]:
            assert set(row["probabilities"]) == {"red", "blue"}
            assert sum(row["probabilities"].values()) == pytest.approx(1)
            assert row["probability"] == max(row["probabilities"].values())
        own = classify(model="run", input="x1", labels=["yes", "no", "maybe"])
        assert len(own["data"][0]["probabilities"]) == 3
        with pytest.raises(openai.BadRequestError, match="labels"):
            classify(model="run", input="x1")
        with pytest.raises(openai.BadRequestError, match=r"`input\[1\]`.*; `input\[3\]`"):
            classify(model=SET, input=["x1", " ", "x2", ""])


def test_models_are_listed(server: Running) -> None:
    with server.client() as client:
        assert [one.id for one in client.models.list()] == [SET, "run"]
        assert client.models.retrieve(SET).id == SET
        with pytest.raises(openai.NotFoundError, match="there are run:colours, run"):
            client.models.retrieve("other")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "other"}, "no model 'other'"),
        ({"most": -1}, "max_tokens"),
        ({"most": 101}, "may have 100 tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 2}, "`n`"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"extra_body": {"max_token": 1}}, "max_token"),
        ({"text": " "}, "the query is empty"),
        ({"text": "x" * LIMIT}, "do not fit"),
        ({"text": "x" * LIMIT, "model": "run"}, "do not fit"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(
    server: Running, options: dict[str, Any], words: str
) -> None:
    with server.client() as client:
        with pytest.raises(openai.APIStatusError, match=words) as caught:
            ask(client, **{"text": FIRST} | options)
        assert caught.value.status_code == (404 if "no model" in words else 400)
        assert caught.value.body["type"] == "invalid_request_error"
        if "fit" in words:
            assert caught.value.code == "context_length_exceeded"
        assert ask(client, FIRST).choices[0].message.content == server.said[FIRST, MOST]


def talk(server: Running, *pieces: bytes) -> bytes:
    """Send bytes and return all that comes back up to the end."""
    with socket.create_connection(server.server.server_address[:2], timeout=20) as one:
        for piece in pieces:
            one.sendall(piece)
        answer = b""
        while part := one.recv(65536):
            answer += part
        return answer


def post(
    body: bytes, *headers: str, path: str = "/v1/chat/completions", host: str = "localhost"
) -> bytes:
    given = [f"POST {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if not any(one.startswith(("Content-Length", "Transfer")) for one in headers):
        given.append(f"Content-Length: {len(body)}")
    if not any(one.startswith("Content-Type") for one in headers):
        given.append("Content-Type: application/json")
    return "\r\n".join([*given, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(b"{"), 400),
        (post(b"[]"), 400),
        (post(b'{"messages": [{"role": "user", "content": "\\ud800"}]}'), 400),
        (post(b'{"temperature": NaN}'), 400),
        (post(b"[" * 100_000), 400),
        (post(b"\xff\xfe"), 400),
        (post(b"", "Content-Length: -1"), 400),
        (post(b"", "Content-Length: 99999999999"), 413),
        (post(b"{}", "Content-Type: text/plain"), 415),
        (post(b"", "Transfer-Encoding: chunked"), 411),
        (post(b"{}", path="/v1/embeddings"), 404),
        (post(b"{}", host="evil.example"), 421),
        (post(b"{}", "Origin: https://evil.example"), 403),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n", 421),
        (b"GET /health HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n", 200),
        (b"BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_bytes_of_any_kind_get_an_answer_in_json(server: Running, sent: bytes, status: int) -> None:
    head, _, body = talk(server, sent).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    if status != 200:
        assert json.loads(body)["error"]["message"]


def test_a_client_that_takes_its_time_is_left(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_S", 0.1)
    monkeypatch.setattr(connection, "IDLE_S", 0.1)
    assert talk(server, b"GET /health HT") == b""
    assert talk(server, b"GET /health HTTP/1.1\r\nHost: localh") == b""
    late = talk(server, post(b"", "Content-Length: 10"))
    assert late.startswith(b"HTTP/1.1 408 ") and b"did not come in time" in late


def test_one_connection_too_many_is_turned_away(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.server._connections, "acquire", lambda blocking: False)
    assert talk(server).startswith(b"HTTP/1.1 503 ")


def test_a_client_that_leaves_is_noticed(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.01)
    jobs: list[Any] = []
    monkeypatch.setattr(server.server.engine, "submit", jobs.append)  # nothing ever comes
    for body in ({"stream": True}, {}):
        asked = {"messages": [{"role": "user", "content": "x"}]} | body
        with socket.create_connection(server.server.server_address[:2]) as one:
            one.sendall(post(json.dumps(asked).encode()))
            while not jobs:
                threading.Event().wait(0.01)
        assert jobs.pop()._left.wait(10)


@pytest.mark.long
def test_a_client_that_leaves_gives_its_place_to_others() -> None:
    with running([], at_once=1, most_waiting=0) as server, server.client() as client:
        chunks = ask(client, "x", 100, stream=True)
        next(iter(chunks))
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client, "y", 1)
        assert caught.value.response.headers["Retry-After"] == "1"
        chunks.close()
        patient = client.with_options(max_retries=20)
        assert ask(patient, "y", 1).choices
        body = json.dumps({"messages": [{"role": "user", "content": "x"}], "max_tokens": 100})
        for _ in range(3):  # before anything comes
            one = socket.create_connection(server.server.server_address[:2])
            one.sendall(post(body.encode()))
            one.close()
        assert ask(patient, "y", 1).choices


def test_a_model_that_cannot_go_back_answers_in_order() -> None:
    queries = QUERIES[:6]
    with running(queries, slides=True) as server, ThreadPoolExecutor(6) as pool:
        client = server.client()
        found = [pool.submit(ask, client, *query) for query in queries]
        answers = [one.result().choices[0].message.content for one in found]
        assert answers == [server.said[query] for query in queries]


def test_with_a_key_no_one_else_may_ask() -> None:
    gate = Gate(True, "a" * 20, frozenset(["http://localhost:3000"]))
    with running([], gate=gate) as server, server.client() as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        right = client.with_options(api_key="a" * 20)
        assert len(right.models.list().data) == 2
        page = {"Origin": "http://localhost:3000"}
        answer = right.models.with_raw_response.list(extra_headers=page)
        assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]


def test_whoever_comes_when_the_server_ends_is_told(server: Running) -> None:
    with running([]) as ending, ending.client() as client:
        ending.server.engine.close()
        with pytest.raises(openai.InternalServerError, match="shutting down"):
            ask(client, "x")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_fifty_clients_at_once_lose_and_mix_none_of_a_thousand() -> None:
    kinds = [(f"query number {n}", 2 + n % 7) for n in range(200)]
    queries = kinds * 5
    left: list[int] = []

    def one(query: tuple[str, int]) -> str:
        number = int(query[0].split()[-1])
        if number % 10 == 9:  # who leaves in the middle
            chunks = ask(client, query[0], 100, stream=True)
            next(iter(chunks))
            chunks.close()
            left.append(number)
        if number % 2:
            return streamed(ask(client, *query, stream=True))[0]
        return str(ask(client, *query).choices[0].message.content)

    with running(kinds) as server, server.client() as client:
        with ThreadPoolExecutor(50) as pool:
            assert list(pool.map(one, queries)) == [server.said[query] for query in queries]
        assert len(left) == len(queries) / 10
