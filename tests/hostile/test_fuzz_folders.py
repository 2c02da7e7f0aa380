"""Bad folders of every kind, thousands of times: runs, adapters, prompt caches."""

import io
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import random_llama
from tests.fuzzing import (
    command_line,
    damaged,
    hostile_text,
    hostile_values,
    inputs,
    places,
    put,
    refused,
    watched,
    write_json,
)
from yofo_mlx.commands import chat as chat_command
from yofo_mlx.models.adapters import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    add_adapter,
    load_adapter,
    save_adapter,
)
from yofo_mlx.prompting import protocol, session
from yofo_mlx.prompting.client import OnNote
from yofo_mlx.prompting.protocol import Params, Request, Response
from yofo_mlx.recipe.schema import Lora

RECIPE = b'model = "./nowhere"\ntrain.steps = 2\ntasks = [{source = "rows.jsonl"}]\n'
KINDS = ("started", "step", "eval", "checkpoint", "failed")
EVENTS = b"".join(
    b'{"v": 1, "t": 1.5, "kind": "%s", "step": %d, "share": 0.5, "loss": 1}\n'
    % (kind.encode(), step)
    for step, kind in enumerate(KINDS)
)
INFO = b'{"format": 1, "limit_gb": 3.5, "data": {"a": "b"}, "model": {"name": "tiny"}}'
ROWS = b'[{"shots": 0, "base": 0.5, "adapter": 1.0}]'
METRIC = b'{"metric": "exact", "of": 2, "tasks": 1, "by_shots": %s, "others": [{"by_shots": %s}]}'
EVALUATION = b'{"full": true, "complete": true, "metrics": [%s]}' % (METRIC % (ROWS, ROWS))
STATE = b'{"step": 1, "tokens": 2, "seconds": 0.5, "best_loss": null}'
FILES = {
    "recipe.toml": RECIPE,
    "run.json": INFO,
    "events.jsonl": EVENTS,
    "past.jsonl": EVENTS,
    "console.log": b"=== yofo\nlast words \x1b[31m\r\n",
    "evaluations/0001-full.json": EVALUATION,
    "lock": b"1234",
    "stop": b"",
    "checkpoints/0000001/trainer_state.json": STATE,
    "adapter/adapters.safetensors": struct.pack("<Q", 2) + b"{}",
    "adapter/adapter_config.json": b"{}",
}
PLACES = sorted({*FILES, "evaluations", "checkpoints", "checkpoints/0000001", "adapter"})
FORMS = ["damaged", "gone", "folder", "link", "dangling", "loop"]


class InProcess:
    """A session in this process, behind the door that the real one has."""

    def __init__(self, echo: Any = None) -> None:
        self.methods = session._methods()
        self.is_alive = True

    def call(self, method: str, params: Params | None = None, on_note: OnNote | None = None) -> Any:
        channel = session.Channel(io.BytesIO())
        line = session._answer(session.Job(Request(1, method, params or {}), channel), self.methods)
        answer = protocol.parse(line)
        assert isinstance(answer, Response)
        if answer.error is None:
            return answer.result
        assert answer.error["code"] != protocol.INTERNAL_ERROR, answer.error
        raise protocol.exception_from(answer.error)

    def cancel(self) -> None: ...

    def restart(self) -> None: ...

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def outside(yofo_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that no run has any business in."""
    folder = yofo_home / "outside"
    folder.mkdir()
    (folder / "x").write_bytes(RECIPE)
    rows = [{"input": f"in {n}", "output": "ab"[n % 2]} for n in range(4)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(folder)
    return folder


def build(folder: Path, outside: Path, forms: dict[str, tuple[str, bytes]]) -> None:
    """Make a run folder in which some things are not what they should be."""
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name, (form, content) in forms.items():
        path = folder / name
        if not path.parent.is_dir() or path.parent.is_symlink():
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if form == "damaged":
            path.write_bytes(content)
        elif form == "folder":
            path.mkdir()
        elif form == "fifo":
            os.mkfifo(path)
        elif form in ("link", "dangling", "loop"):
            targets = {"link": outside / "x", "dangling": outside / "new", "loop": path}
            path.symlink_to(targets[form])


contents = st.sampled_from(sorted(FILES)).flatmap(lambda name: damaged(FILES[name] or b" "))
forms = st.dictionaries(
    st.sampled_from(PLACES), st.tuples(st.sampled_from(FORMS), contents), max_size=3
)
NAMES = [
    "20260101-000000-tiny",
    "\x1b[2J",
    "a\nb",
    "[red]x",
    "é" * 100,
    "\udcff",
    "-",
    "last",
]
VERBS = [["runs"], ["runs", "--json"], ["stop", "last"], ["resume", "last"], ["eval", "last"]]
VERBS += [["runs", "last"], ["runs", "last", "--json"]]
VERBS += [["chat", "last", "--query", "q"], ["chat", "last", "--base", "--query", "q"]]


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_command, "SessionClient", InProcess)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@inputs("run folders", 0.9 / len(VERBS))
@given(st.sampled_from(NAMES[:1] * 3 + NAMES), forms)
def test_any_run_folder_is_used_or_refused(
    yofo_home: Path, outside: Path, no_child: None, verb: list[str], name: str, forms: Any
) -> None:
    folder = yofo_home / "runs" / name
    build(folder, outside, forms)
    with watched(folder, outside):
        command_line(*verb)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("place", PLACES)
def test_a_pipe_in_a_run_folder_is_not_waited_for(
    yofo_home: Path, outside: Path, no_child: None, place: str, verb: list[str]
) -> None:
    folder = yofo_home / "runs" / NAMES[0]
    build(folder, outside, {place: ("fifo", b"")})
    with watched(folder, outside):
        command_line(*verb)


@inputs("run folders", 0.1)
@given(hostile_text, st.sampled_from(["stop", "resume", "eval", "chat", "runs"]))
def test_any_name_of_a_run_is_found_or_refused(
    yofo_home: Path, outside: Path, no_child: None, name: str, verb: str
) -> None:
    build(yofo_home / "runs" / NAMES[0], outside, {})
    if "\0" not in name and not name.startswith("-"):  # no shell passes a NUL
        with watched(yofo_home / "runs" / NAMES[0], outside):
            command_line(verb, *(["--query", "q"] if verb == "chat" else []), name)


def tensors(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return header and body of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def safetensors(header: Any, body: bytes, length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


LENGTHS = st.sampled_from([None] * 8 + [0, 1, 2**31, 2**40, 2**60, 2**63, 2**64 - 1])
SHAPES = [[2**16] * 4, [2**62, 4], [0], [-1, -1], [2**31 - 1] * 3, [1] * 500, [2**32, 2**32]]


@st.composite
def lying(draw: Callable[..., Any], valid: bytes) -> bytes:
    """Draw a safetensors file whose header, or anything else, is not true."""
    if draw(st.booleans()):
        return bytes(draw(damaged(valid)))
    header, body = tensors(valid)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(header)))
        kind = draw(st.sampled_from(["value", "shape", "dtype", "gone", "twin", "nan"]))
        names = [name for name in header if name != "__metadata__"]
        name = draw(st.sampled_from(names)) if names else ""
        if kind == "value":
            header = put(header, place, draw(hostile_values))
        elif name and isinstance(header[name], dict) and kind in ("shape", "dtype"):
            wrong = {
                "shape": st.sampled_from(SHAPES),
                "dtype": st.sampled_from(["F64", "U8", "BF16"]),
            }
            header = put(header, (name, kind), draw(wrong[kind]))
            if draw(st.booleans()):
                header = put(header, (name, "data_offsets"), [0, 0])
        elif name and kind == "gone":
            header = {key: value for key, value in header.items() if key != name}
        elif name and kind == "twin":
            header = header | {draw(hostile_text): header[name]}
        elif kind == "nan":
            body = struct.pack("<f", float("nan")) * (len(body) // 4)
    return safetensors(header, body, draw(LENGTHS))


CONFIG: dict[str, Any] = {
    "model": "tiny",
    "fine_tune_type": "lora",
    "num_layers": 1,
    "lora_parameters": {"rank": 2, "scale": 20.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]},
}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the weights file of a whole adapter."""
    folder = tmp_path_factory.mktemp("adapter")
    model = random_llama(width=16)
    lora = Lora(rank=2, num_layers=1, keys=("self_attn.q_proj",))
    add_adapter(model, lora)
    save_adapter(folder, model, lora, "tiny")
    assert json.loads((folder / CONFIG_FILE).read_text()) == CONFIG
    return (folder / WEIGHTS_FILE).read_bytes()


def mount(folder: Path, weights: bytes, config: bytes) -> None:
    """Put an adapter on a model; one that is taken leaves the model able to answer."""
    folder.mkdir(exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    (folder / CONFIG_FILE).write_bytes(config)
    model = random_llama(width=16)

    def load() -> None:
        load_adapter(model, folder)
        logits = model(mx.array([[1, 2, 3]]))
        assert logits.shape == (1, 3, 261)

    with watched(folder):
        refused(load)


@inputs("adapters", 0.5)
@given(st.data())
def test_any_adapter_weights_are_taken_or_refused(
    tmp_path: Path, adapter: bytes, draw: st.DataObject
) -> None:
    mount(tmp_path, draw.draw(lying(adapter)), json.dumps(CONFIG).encode())


settings_of = st.sampled_from(places(CONFIG)).flatmap(
    lambda place: hostile_values.map(lambda value: json.dumps(put(CONFIG, place, value)).encode())
)


@inputs("adapters", 0.5)
@given(settings_of | damaged(json.dumps(CONFIG).encode()))
def test_any_adapter_settings_are_taken_or_refused(
    tmp_path: Path, adapter: bytes, config: bytes
) -> None:
    mount(tmp_path, adapter, config)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("lora_parameters",), None),
        (("num_layers",), None),
        (("num_layers",), 10**400),
        (("lora_parameters", "rank"), 10**6),
        (("lora_parameters", "scale"), "x"),
        (("lora_parameters", "scale"), float("nan")),
        (("lora_parameters", "dropout"), 2),
        (("lora_parameters", "keys"), "self_attn.q_proj"),
    ],
)
def test_settings_that_no_recipe_could_have_are_refused(
    tmp_path: Path, adapter: bytes, place: tuple[str, ...], value: Any
) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(adapter)
    write_json(tmp_path / CONFIG_FILE, put(CONFIG, place, value))
    error = refused(lambda: load_adapter(random_llama(width=16), tmp_path))
    assert error is not None and "does not fit the model" in error.message


def test_an_adapter_with_gaps_or_without_numbers_is_refused(tmp_path: Path, adapter: bytes) -> None:
    write_json(tmp_path / CONFIG_FILE, CONFIG)
    header, body = tensors(adapter)
    name = next(name for name in header if name.endswith("lora_b"))
    for wrong, words in (
        (safetensors({k: v for k, v in header.items() if k != name}, body), f"lacks {name}"),
        (safetensors(header, b"\xff" * len(body)), "something other than finite numbers"),
    ):
        (tmp_path / WEIGHTS_FILE).write_bytes(wrong)
        error = refused(lambda: load_adapter(random_llama(width=16), tmp_path))
        assert error is not None and words in error.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("0.probe", f'{{"1": 1{"0" * 400}}}'),
        ("0.probe", "[" * 100_000),
        ("0.probe", '{"x": "' + "y" * 5000 + '"}'),
        ("0.demonstrations", '[["\\ud800", "x"]]'),
    ],
    ids=["huge number", "deep nesting", "long word", "half a character"],
)
def test_words_that_no_prompt_cache_has_are_refused(
    tmp_path: Path, room: InProcess, cache: bytes, name: str, text: str
) -> None:
    header, body = tensors(cache)
    metadata = header["__metadata__"] | {name: text}
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(header | {"__metadata__": metadata}, body))
    assert refused(lambda: room.call("load_cache", {"path": str(path)}))


@pytest.fixture(scope="module")
def room() -> InProcess:
    """Return a session with the embedded model."""
    client = InProcess()
    client.call("load", {"model": "tiny"})
    return client


@pytest.fixture(scope="module")
def cache(room: InProcess, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a whole prompt cache file."""
    pairs = [{"input": f"cow {name}", "output": "Anna ü"} for name in ("pig", "dog")]
    room.call("prefill", {"demonstrations": pairs, "instruction": "Name the owner."})
    path = tmp_path_factory.mktemp("cache") / "x.safetensors"
    return Path(room.call("save_cache", {"path": str(path)})["path"]).read_bytes()


def take(room: InProcess, folder: Path, content: bytes) -> None:
    """Load a prompt cache; one that is taken can be used."""
    path = folder / "x.safetensors"
    path.write_bytes(content)

    def load() -> None:
        room.call("load_cache", {"path": str(path)})
        room.call("score", {"input": "cow", "labels": ["Anna"]})

    with watched(folder):
        refused(load)


@inputs("prompt caches", 0.6)
@given(st.data())
def test_any_prompt_cache_is_taken_or_refused(
    tmp_path: Path, room: InProcess, cache: bytes, draw: st.DataObject
) -> None:
    take(room, tmp_path, draw.draw(lying(cache)))


@inputs("prompt caches", 0.4)
@given(st.data())
def test_any_words_in_a_prompt_cache_are_taken_or_refused(
    tmp_path: Path, room: InProcess, cache: bytes, draw: st.DataObject
) -> None:
    header, body = tensors(cache)
    said = header["__metadata__"]
    name = draw.draw(st.sampled_from(sorted(said)))
    try:
        value = json.loads(said[name])
    except ValueError:
        value = said[name]
    inner = places(value)
    new = draw.draw(hostile_values)
    value = put(value, draw.draw(st.sampled_from(inner)), new) if inner[0] else new
    text = value if isinstance(value, str) else json.dumps(value)
    take(room, tmp_path, safetensors(header | {"__metadata__": said | {name: text}}, body))
