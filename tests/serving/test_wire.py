"""What needs neither a model nor a socket: bodies, conversations, the gate, growing text."""

from email.message import Message as Headers
from typing import Any

import pytest

from tests.fakes import ByteTokenizer
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import Template
from yofo_mlx.serving.conversations import conversation_of
from yofo_mlx.serving.gate import Gate, gate_of
from yofo_mlx.serving.models import Conversation
from yofo_mlx.serving.refusals import Refusal
from yofo_mlx.serving.requests import ChatRequest, CompletionRequest, Message, parse
from yofo_mlx.serving.text import Answering, GoingOn, GrowingText
from yofo_mlx.tasks.task import Example

KEY = "k" * 20


def headers(**given: str) -> Any:
    message = Headers()
    for name, value in given.items():
        message[name] = value
    return message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "127.9.9.9", "[::1]:1"])
def test_this_machine_may_ask_by_its_own_names(host: str) -> None:
    Gate(is_loopback=True).check(headers(Host=host))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "evil@localhost.evil.example"},
        {"Host": "localhost", "Origin": "https://evil.example"},
        {"Host": "localhost", "Origin": "null"},
        {"Host": "localhost", "Origin": ""},
    ],
)
def test_pages_of_others_may_not_ask(given: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        Gate(is_loopback=True).check(headers(**given))


WRONG = ["", KEY, f"Basic {KEY}", "Bearer ", f"Bearer {KEY}x", "Bearer é"]


@pytest.mark.parametrize("given", WRONG)
def test_a_wrong_key_is_refused(given: str) -> None:
    gate = Gate(is_loopback=False, key=KEY)
    with pytest.raises(Refusal, match="key is missing or wrong"):
        gate.check_key(headers(Authorization=given))
    gate.check_key(headers(Authorization=f"bearer {KEY}"))
    gate.check(headers(Host="any.example"))


@pytest.mark.parametrize(
    ("host", "key", "origins", "words"),
    [
        ("0.0.0.0", None, [], "whoever reaches this machine"),
        ("::", None, [], "whoever reaches this machine"),
        ("127.0.0.1", "short", [], "16 or more"),
        ("0.0.0.0", "ü" * 20, [], "ASCII"),
        ("not a host", KEY, [], "--host"),
        ("127.0.0.1", None, ["*"], "no origin"),
        ("127.0.0.1", None, ["http://a/b"], "no origin"),
    ],
)
def test_a_server_for_others_has_a_key(
    host: str, key: str | None, origins: list[str], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        gate_of(host, key, frozenset(origins))
    assert gate_of("localhost", None, frozenset()).is_loopback
    assert not gate_of("0.0.0.0", KEY, frozenset()).is_loopback


def said(*turns: tuple[str, str]) -> list[Message]:
    return [Message(role=role, content=text) for role, text in turns]  # type: ignore[arg-type]


def test_messages_become_turns_and_a_query() -> None:
    found = conversation_of(
        said(("system", "s"), ("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"))
    )
    assert found == Conversation("s", (Example("a\n\nb", "c"),), "d")


@pytest.mark.parametrize("roles", [["assistant", "user"], ["user", "assistant"], ["system"]])
def test_the_user_has_the_first_word_and_the_last(roles: list[str]) -> None:
    with pytest.raises(Refusal, match="messages"):
        conversation_of(said(*((role, "a") for role in roles)))


def test_what_changes_no_answer_is_ignored() -> None:
    body = b'{"prompt": ["a"], "user": "me", "stop": null, "n": 1, "best_of": 1, "echo": false}'
    assert parse(CompletionRequest, body).text == "a"
    parts = b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}'
    assert parse(ChatRequest, parts).messages[0].text == "a"


@pytest.mark.parametrize("part", ['"image_url"', '"text", "image_url": "x"'])
def test_pictures_are_refused(part: str) -> None:
    body = f'{{"messages": [{{"role": "user", "content": [{{"type": {part}}}]}}]}}'
    with pytest.raises(Refusal, match="content"):
        parse(ChatRequest, body.encode())


def grown(form: Any, written: str, stops: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    text = GrowingText(form, stops)
    pieces = []
    for token in ByteTokenizer().encode(written, add_special_tokens=False):
        pieces.append(text.add(token))
        if text.is_ended:
            return pieces, True
    return [*pieces, text.finish()], False


@pytest.fixture(scope="module")
def answering() -> Answering:
    tokenizer = ByteTokenizer()
    return Answering(Segmenter(tokenizer, Template()), tokenizer)


@pytest.mark.parametrize(
    ("written", "stops", "whole", "ends"),
    [
        ("abc", (), "abc", False),
        (" abc ", (), "abc", False),
        ("a\n\nb", (), "a", True),
        ("a\nb", (), "a\nb", False),
        ("é", (), "é", False),
        ("abcd", ("bcx", "cd"), "ab", True),
        ("abcabd", ("abd",), "abc", True),
        ("ab", ("abd",), "ab", False),
        ("a</s>", (), "a", True),
        ("a\n", ("\n",), "a", True),
    ],
)
def test_text_comes_in_pieces_that_stand(
    answering: Answering, written: str, stops: tuple[str, ...], whole: str, ends: bool
) -> None:
    pieces, is_ended = grown(answering, written, stops)
    assert ("".join(pieces), is_ended) == (whole, ends)


def test_a_text_that_goes_on_keeps_its_blanks() -> None:
    tokenizer = ByteTokenizer()
    form = GoingOn(tokenizer.encode("one"), tokenizer, frozenset([257]))
    pieces, is_ended = grown(form, " two \n\n</s>")
    assert ("".join(pieces), is_ended) == (" two \n\n", True)
