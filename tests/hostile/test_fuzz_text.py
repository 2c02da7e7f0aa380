"""Bad text of every kind, thousands of times: recipes, rows and events end in two clear lines."""

import csv
import gzip
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzzing import (
    INPUTS,
    LONGEST,
    check_harmless,
    damaged,
    hostile_text,
    hostile_values,
    inputs,
    places,
    put,
    refused,
    spoken,
    watched,
)
from tui.runs.follow import Follower
from tui.shared import words
from yofo_mlx.commands import data as data_command
from yofo_mlx.commands import runs as runs_command
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.commands.display import shown_on
from yofo_mlx.prompting import demonstrations
from yofo_mlx.recipe.file import find_recipe, to_toml
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs import listing
from yofo_mlx.runs.events import last_event, parse
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.registry import load_tasks

RECIPE: dict[str, Any] = {
    "description": "all keys",
    "model": "tiny",
    "revision": "main",
    "trust_remote_code": False,
    "seed": 3,
    "lora": {"fine_tune_type": "dora", "rank": 4, "scale": 2.0, "dropout": 0.1, "num_layers": 2}
    | {"keys": ["self_attn.q_proj", "mlp.up_proj"]},
    "template": {"style": "plain", "instruction": "{instruction}\n", "input": "{input} ->"}
    | {"output": " {output}\n"},
    "episodes": {"max_tokens": 500, "min_shots": 1, "max_shots": 9, "draw": "full"},
    "objective": {"targets": "all", "normalize": "answer"},
    "optimizer": {"learning_rate": 1e-3, "schedule": "linear", "warmup": 0.1, "betas": [0.9, 0.99]},
    "train": {"steps": 5, "batch_size": 2, "eval_every": 2},
    "memory": {"method": "chunked", "chunk": 64, "stash": 2, "limit_gb": 3.5},
    "evaluation": {"shots": [0, 1, 4], "queries": 2, "draws": 1, "max_answer_tokens": 3},
    "tasks": [
        {"source": "tiny:train", "weight": 0.5},
        {
            "name": "mine",
            "source": "data.csv",
            "role": "held_out",
            "family": "nli",
            "input": "{a} {b}",
            "output": "c",
            "labels": ["x", "y"],
            "files": {"train": "a.csv", "test": "b.csv"},
            "splits": {"train": "train"},
            "limit": 7,
            "valid_share": 0.2,
            "answer_after": "####",
        },
    ],
}


def toml(value: Any) -> str:
    """Return a value as TOML, or as near to it as the value allows."""
    if isinstance(value, dict):
        inner = ", ".join(f"{toml(str(key))} = {toml(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return "1979-05-27T07:32:00Z" if value is None else str(value)


def toml_file(data: dict[str, Any]) -> bytes:
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in data.items())
    return text.encode("utf-8", "backslashreplace")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for inputs; what lies beside it must stay as it is."""
    root = tmp_path_factory.mktemp("world")
    (root / "outside").mkdir()
    (root / "outside" / "x").write_text("untouched")
    (root / "inside").mkdir()
    return root / "inside"


def load(world: Path, content: bytes, overrides: tuple[str, ...] = ()) -> None:
    """Read a recipe; one that is taken says the same when it is written and read again."""
    path = world / "recipe.toml"
    path.write_bytes(content)

    def read() -> None:
        recipe = load_recipe(path, overrides)
        path.write_text(to_toml(recipe), encoding="utf-8")
        assert load_recipe(path) == recipe

    with watched(world, world.parent / "outside"):
        refused(read)


@inputs("recipes", 0.3)
@given(damaged(toml_file(RECIPE)))
def test_a_damaged_recipe_is_read_or_refused(world: Path, content: bytes) -> None:
    load(world, content)


@inputs("recipes", 0.4)
@given(st.sampled_from(places(RECIPE)), hostile_text, st.booleans(), hostile_values)
def test_any_value_at_any_key_of_a_recipe_is_taken_or_refused(
    world: Path, place: tuple[Any, ...], name: str, renames: bool, value: Any
) -> None:
    if renames and isinstance(place[-1], str):
        place = (*place[:-1], name)
    load(world, toml_file(put(RECIPE, place, value)))


@pytest.mark.parametrize(
    "wrong",
    [
        'model = "tiny"\n' + ".".join("a" * 3000) + " = 1",
        "seed = 0x" + "f" * 5000,
        'model = "tiny"\ntrain.steps = 1\ntasks = [{source = "x", weight = 1e308}]',
        'model = "tiny"\ntrain.steps = 1\nepisodes.max_shots = 18446744073709551616\n'
        'tasks = [{source = "x"}]',
        "\n".join(f"unknown{number} = 1" for number in range(500)),
        "x" * 5000 + " = 1",
    ],
    ids="deep huge infinite large many long".split(),
)
def test_a_recipe_that_asks_for_too_much_is_refused_in_few_words(world: Path, wrong: str) -> None:
    (world / "recipe.toml").write_text(wrong)
    assert refused(lambda: load_recipe(world / "recipe.toml"))


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "x" * 5000, "nul\0"])
def test_a_path_that_cannot_be_is_no_recipe_no_data_and_no_demonstrations(
    world: Path, name: str
) -> None:
    assert refused(lambda: find_recipe(name))
    assert refused(lambda: demonstrations.read(name))
    load(world, toml_file(put(RECIPE, ("tasks", 1, "source"), name)))
    load(world, toml_file(put(RECIPE, ("model",), "/" + name)))


def test_a_problem_is_told_in_few_words_whatever_it_quotes(world: Path) -> None:
    (world / "rows.jsonl").write_bytes(lines_of([{"x" * 9000: 1}]))
    error = refused(lambda: load_tasks([TaskSource(source="rows.jsonl")], 0, world))
    assert error is not None and len(error.message) < 1000


KEYS = [".".join(map(str, place)) for place in places(RECIPE)]
parts = st.sampled_from(["tasks", "0", "1", "-1", "99", "train", "steps", "", " ", "²", "9" * 50])


@inputs("recipes", 0.3)
@given(
    st.sampled_from(KEYS) | st.lists(parts | hostile_text, max_size=4).map(".".join),
    hostile_values.map(toml) | hostile_text,
)
def test_any_override_is_taken_or_refused(world: Path, key: str, value: str) -> None:
    load(world, toml_file(RECIPE), (f"{key}={value}",))


ROWS = [
    {"input": f"in {n} é", "output": "ab"[n % 2], "more": {"x": [n, None], "y": 1.5}}
    for n in range(7)
]
CHATS = [
    {"messages": [{"role": r, "content": f"{r} {n}"} for r in ("system", "user", "assistant")]}
    for n in range(4)
]


def lines_of(rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(rows: Any, mark: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=mark).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()


CELLS = [["text", "label"], *[[row["input"], row["output"]] for row in ROWS]]
FILES = {
    "a.jsonl": lines_of(ROWS),
    "chat.jsonl": lines_of(CHATS),
    "a.json": json.dumps({"train": ROWS, "test": ROWS[:2]}).encode(),
    "list.json": json.dumps(ROWS).encode(),
    "a.csv": table(CELLS),
    "a.tsv": table(CELLS, "\t"),
    "a.jsonl.gz": gzip.compress(lines_of(ROWS)),
    "a.parquet": parquet(pa.Table.from_pylist(ROWS)),
}


def read(world: Path, name: str, content: bytes, **keys: Any) -> None:
    """Read a file as training, `data check` and `data preview` do; only refusals may come out."""
    (world / name).write_bytes(content)
    source = TaskSource(source=str(world / name), **keys)
    columns = {key: keys.get(key) for key in ("input", "output", "records")}
    asked = DataRequest([source.source], **columns)

    def shown(as_json: bool) -> None:
        data_command.check(asked, as_json=as_json)
        data_command.preview(asked, as_json=as_json)

    with watched(world, world.parent / "outside"):
        refused(lambda: load_tasks([source], 0, world))
        for as_json in (False, True):
            out, err = spoken(lambda json=as_json: refused(lambda: shown(json)))
            check_harmless(out + err, keep="\n")
            assert as_json or max(map(len, out.split("\n"))) < LONGEST


@inputs("rows", 0.2)
@given(
    st.sampled_from(sorted(FILES)).flatmap(lambda n: st.tuples(st.just(n), damaged(FILES[n]))),
)
def test_a_damaged_data_file_is_examples_or_problems(world: Path, file: tuple[str, bytes]) -> None:
    read(world, *file)


names = st.sampled_from("input output text label labels messages context answers 0 1".split())
rows = st.dictionaries(names | hostile_text, hostile_values, max_size=4)
KEYED = {"input": hostile_text, "output": hostile_text, "separator": hostile_text}
KEYED |= {"labels": st.lists(hostile_text, max_size=3).map(tuple), "limit": st.integers(1, 9)}
KEYED |= {"family": st.sampled_from(["classification", "multilabel", "qa"])}
KEYED |= {"bad_rows": st.just("drop"), "records": hostile_text}
keys = st.fixed_dictionaries({}, optional=KEYED)


@inputs("rows", 0.15)
@given(st.lists(rows, max_size=4), keys | st.just({}))
def test_any_row_with_any_columns_is_an_example_or_a_problem(
    world: Path, rows: list[Any], keys: dict[str, Any]
) -> None:
    encodable = not any("\ud800" in str(value) for value in keys.values())
    read(world, "rows.jsonl", lines_of([*rows, ROWS[0]]), **keys if encodable else {})


@inputs("rows", 0.2)
@given(st.lists(st.lists(hostile_text, max_size=3), max_size=4), st.sampled_from(",\t"))
def test_any_table_is_examples_or_problems(world: Path, cells: list[Any], mark: str) -> None:
    read(world, "rows.csv" if mark == "," else "rows.tsv", table([CELLS[0], *cells], mark))


scalars = {
    pa.binary(): st.binary(max_size=3),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32),
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.timestamp("s"): st.integers(-(2**53), 2**53),
    pa.timestamp("ns", "Nowhere/Land"): st.integers(-(2**63), 2**63 - 1),
    pa.duration("s"): st.integers(-(2**53), 2**53),
    pa.bool_(): st.booleans(),
    pa.string(): hostile_text.filter(lambda text: "\ud800" not in text),
}
kinds = st.sampled_from(sorted(scalars, key=str))


@inputs("rows", 0.15)
@given(st.data(), st.lists(kinds, min_size=2, max_size=2), st.booleans())
def test_any_column_of_a_parquet_file_is_examples_or_problems(
    world: Path, draw: Any, kinds: list[Any], nested: bool
) -> None:
    columns = {}
    for name, kind in zip(("text", "label"), kinds, strict=True):
        values = draw.draw(st.lists(st.none() | scalars[kind], min_size=3, max_size=3))
        flat = pa.array(values, pa.int64() if pa.types.is_temporal(kind) else kind)
        flat = flat.cast(pa.int32()).cast(kind) if kind == pa.date32() else flat.cast(kind)
        columns[name] = pa.array([[v] for v in flat], pa.list_(kind)) if nested else flat
    read(world, "rows.parquet", parquet(pa.table(columns)))


EVENTS: list[dict[str, Any]] = [
    {"kind": "started", "run_id": "r", "model": "tiny", "steps": 9, "tokens": None}
    | {"train_tasks": 3, "held_out_tasks": 1, "trainable_parameters": 999},
    {"kind": "plan", "chunk": 64, "stash": 2, "model_gb": 0.1, "step_gb": 0.2, "limit_gb": 3.5}
    | {"native_attention": False},
    {"kind": "progress", "step": 1, "done": 3, "total": 9, "phase": "forward"},
    {"kind": "step", "step": 1, "loss": 0.5, "lr": 1e-4, "grad_norm": 1.0, "tokens": 99}
    | {"targets": 9, "shots": 4.5, "tokens_per_s": 1e3, "targets_per_s": 10.0, "peak_gb": 1.0}
    | {"memory_gb": 1.0, "total_tokens": 99, "share": 0.1, "seconds_left": 12.0},
    {"kind": "eval", "step": 1, "loss": 0.4, "best": True}
    | {"by_shots": [{"shots": 0, "accuracy": 0.5, "loss": 1.0}, {"shots": 4, "accuracy": 1.0}]},
    {"kind": "checkpoint", "step": 1, "path": "checkpoints/0000001"},
    {"kind": "warning", "message": "mind", "hint": "the gap"},
    {"kind": "resumed", "step": 1},
    {"kind": "finished", "step": 9, "best_step": 4, "seconds": 12.0},
    {"kind": "stopped", "step": 9, "reason": "asked"},
    {"kind": "failed", "step": 9, "message": "no", "hint": "try", "cause": "disk full"},
]
EVENTS = [{"v": 1, "t": 1.5 + number} | event for number, event in enumerate(EVENTS)]


@pytest.fixture
def run(yofo_home: Path) -> Run:
    run = listing.create("fuzzed")
    run.recipe_path.write_bytes(toml_file(RECIPE))
    return run


def follow(run: Run) -> None:
    """See a run's events as the app does."""
    with watched(run.path):
        assert all(isinstance(event["kind"], str) for event in run.events())
        last_event(run.events_path)
        view = Follower(run).poll()
        assert isinstance(view.steps_done, int)
        for figure in (view.share, view.started, *(y for _, y in view.losses)):
            assert len(words.number(figure)) < 12


@inputs("events", 0.2)
@given(damaged(lines_of(EVENTS)))
def test_a_damaged_event_stream_is_followed_as_far_as_it_goes(run: Run, content: bytes) -> None:
    run.events_path.write_bytes(content)
    follow(run)


any_event = st.sampled_from(EVENTS).flatmap(
    lambda event: st.builds(
        lambda place, value: put(event, place, value),
        st.sampled_from(places(event)) | hostile_text.map(lambda name: (name,)),
        hostile_values,
    )
    | st.sets(st.sampled_from(sorted(event))).map(
        lambda gone: {key: value for key, value in event.items() if key not in gone}
    )
).map(lambda event: {"t": 1.0, "kind": "step"} | event)  # fmt: skip


@inputs("events", 0.3)
@given(st.lists(any_event, min_size=1, max_size=4))
@example([EVENTS[3] | {"loss": 2**63}])
def test_any_event_is_followed(run: Run, events: list[Any]) -> None:
    run.events_path.write_bytes(lines_of([EVENTS[0], *events]))
    follow(run)


@inputs("events", 0.2)
@given(st.lists(any_event, min_size=1, max_size=4))
def test_any_event_is_listed(run: Run, events: list[Any]) -> None:
    run.events_path.write_bytes(lines_of([EVENTS[0], *events]))
    with watched(run.path):
        for as_json in (False, True):
            out, err = spoken(lambda json=as_json: runs_command.show(as_json=json))
            check_harmless(out + err, keep="\n")
            assert as_json or max(map(len, out.split("\n"))) < LONGEST


def test_numbers_past_all_bounds_are_no_figures(run: Run) -> None:
    run.events_path.write_bytes(lines_of([EVENTS[3] | {"step": 10**400, "share": -(10**400)}]))
    view = Follower(run).poll()
    assert (view.steps_done, view.share) == (0, None)


def test_a_pipe_in_the_place_of_an_evaluation_is_not_waited_for(run: Run) -> None:
    run.evaluations_path.mkdir()
    os.mkfifo(run.evaluations_path / "0001-full.json")
    with watched(run.path):
        assert Follower(run).poll().curves == ()


class Terminal(io.StringIO):
    """A stream that a progress bar is drawn on."""

    def isatty(self) -> bool:
        return True


_MOVES = re.compile(r"\x1b\[(\?25[lh]|1A|2K|[\d;]*m)|\r")  # how a bar is drawn


@inputs("events", 0.3)
@given(st.lists(any_event, min_size=1, max_size=3), st.booleans())
@example([EVENTS[3] | {"share": []}], True)
@example([EVENTS[3] | {"share": 10**400}], True)
def test_any_event_is_displayed(events: list[Any], live: bool) -> None:
    stream = Terminal() if live else io.StringIO()
    with shown_on(stream) as display:
        for event in events:
            if (parsed := parse(json.dumps(event).encode())) is not None:
                display.show(parsed)
    check_harmless(_MOVES.sub("", stream.getvalue()), keep="\n")


def test_a_search_takes_ten_thousand_inputs() -> None:
    assert sum(INPUTS.values()) >= 10_000
