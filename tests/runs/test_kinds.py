"""The kinds of events: written as they are declared, read whatever was written."""

import ast
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.places import ROOT
from tests.streams import FreeWriter
from tui.runs.follow import Follower
from yofo_mlx.commands import display, facts
from yofo_mlx.commands import runs as runs_command
from yofo_mlx.commands.watch import follow
from yofo_mlx.runs import listing
from yofo_mlx.runs.events import FINAL_KINDS, Event, EventReader, EventWriter, finite
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.kinds import KINDS, Kind, table
from yofo_mlx.training import loop, trainer

SOURCES = [*ROOT.glob("yofo_mlx/**/*.py"), *ROOT.glob("tui/**/*.py")]
ROWS = "".join(f'{{"input": "question {i}", "output": "yes"}}\n' for i in range(20))
RECIPE = """
model = "tiny"
lora = {{ rank = 2 }}
episodes = {{ max_tokens = 96 }}
evaluation = {{ valid_tasks = 1, queries = 1, shots = [0] }}
train = {{ steps = 3, eval_every = 2 }}
[[tasks]]
source = "{}"
"""


def test_the_table_in_the_docs_is_the_generated_one() -> None:
    page = (ROOT / "docs" / "run-folder.md").read_text("utf-8")
    assert table() in page, f"put this into docs/run-folder.md:\n{table()}"


def test_every_kind_and_every_field_is_explained() -> None:
    rows = [line.split("|")[1:-1] for line in table().splitlines()[2:]]
    assert all(row[-1].strip() for row in rows)
    assert {"finished", "stopped", "failed"} == FINAL_KINDS < KINDS.keys()
    assert {"loading", "progress", "started"} < KINDS.keys()  # by which a stream is read


def test_what_is_not_declared_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer: Any = EventWriter(path)
    with pytest.raises(TypeError, match="unexpected keyword argument 'los'"):
        KINDS["warning"](message="m", hint="h", los=1)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument"):
        KINDS["warning"](message="m")
    with pytest.raises(TypeError):
        writer.write("step", step=1)
    with pytest.raises(AttributeError):
        writer.write({"kind": "unheard-of"})
    assert path.read_bytes() == b""


def declared(kind: type[Kind]) -> st.SearchStrategy[Kind]:
    """Draw events of a kind, with all that may be left out."""
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{one.name: st.from_type(hints[one.name]) for one in fields(kind)})


any_event = st.sampled_from(list(KINDS.values())).flatmap(declared)


@given(told=any_event)
def test_a_declared_event_is_read_as_it_was_written_and_shown_as_it_is_read(
    told: Kind, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    writer = EventWriter(path)
    shown = writer.write(told)
    writer.close()
    assert list(EventReader(path)) == [shown]
    event = told.now()
    names = [one.name for one in fields(told) if one.default is MISSING or one.name in event]
    assert [*shown] == ["v", "t", "kind", *names]
    assert {name: shown[name] for name in names} == finite({name: event[name] for name in names})


more = st.dictionaries(
    st.text(max_size=9), st.none() | st.booleans() | st.floats() | st.text(), max_size=3
)


@given(told=st.lists(st.tuples(any_event, st.sets(st.integers(0, 12)), more), max_size=5))
def test_readers_survive_older_and_newer_streams(
    told: list[tuple[Kind, set[int], dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = Run(tmp_path_factory.mktemp("run"))
    writer = FreeWriter(run.events_path)
    writer.write("of-tomorrow", step=[{}])
    for kind, dropped, added in told:
        known = {one.name: getattr(kind, one.name) for one in fields(kind)}
        kept = {key: known[key] for place, key in enumerate(known) if place not in dropped}
        whole = json.loads(json.dumps(kind.now()))
        new = {key: value for key, value in added.items() if key not in ("v", "t", "kind")}
        writer.write(kind.kind, **{key: whole.get(key) for key in kept} | new)
    writer.close()
    assert len(list(follow(run))) == len(told) + 1
    assert Follower(run).poll().status == run.status()
    assert runs_command.run_row(run)["status"] == run.status()
    assert facts.overview(run)["number"] == 0
    with display.shown_on(open(os.devnull, "w")) as shown:
        for event in run.events():
            shown.show(event)


def in_its_life(yofo: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Yield a run each time that its trainer has left: stopped, failed twice, finished."""
    rows, recipe = folder / "rows.jsonl", folder / "own.toml"
    rows.write_text(ROWS)
    recipe.write_text(RECIPE.format(rows))
    differentiate = loop.loss_and_gradients

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return differentiate(*arguments)

    def failing(*arguments: Any) -> Any:
        raise RuntimeError("[malloc_or_wait] Unable to allocate 123456 bytes.")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "loss_and_gradients", interrupted)
        assert yofo("train", recipe)[0] == 130
    run = listing.find("last")
    yield run
    rows.unlink()
    assert yofo("resume", "last")[0] == 3
    yield run
    rows.write_text(ROWS.replace("yes", "no"))  # it warns of that
    with monkeypatch.context() as patched:
        patched.setattr(loop, "loss_and_gradients", failing)
        assert yofo("resume", "last")[0] == 1
    yield run
    monkeypatch.setattr(trainer, "PROGRESS_EVERY_S", 0.0)
    assert yofo("resume", "last", "--set", "train.steps=4")[0] == 0
    yield run


def test_a_real_run_writes_every_kind_as_it_is_declared(
    yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    for run in in_its_life(yofo, tmp_path, monkeypatch):
        events += [*run.events(), *EventReader(run.past_path)]
    for event in events:
        kind = KINDS[event["kind"]]
        own = {key: value for key, value in event.items() if key not in ("v", "t", "kind")}
        names = [one.name for one in fields(kind)]
        needed = [one.name for one in fields(kind) if one.default is MISSING]
        assert [*own] == [name for name in names if name in own] and own.keys() >= {*needed}
        TypeAdapter(kind).validate_json(json.dumps(own), strict=True)
    assert {event["kind"] for event in events} == KINDS.keys()
    ends = [event for event in events if event["kind"] == "failed"]
    assert {(end["step"], end["cause"]) for end in ends} == {(1, None), (1, "out of memory")}


NAMES = {"event", "step", "best", "end", "started", "finished", "last", "progress"}


def of_event(node: ast.expr) -> bool:
    """Tell whether an expression is called as events are: `event`, `view.step`."""
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return name in NAMES


def asked(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield what a module asks events for: fields, and kinds that it compares with."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Subscript(value=owner, slice=ast.Constant(value=str(name)))
                | ast.Call(
                    func=ast.Attribute(value=owner, attr="get"),
                    args=[ast.Constant(value=str(name)), *_],
                )
                | ast.Call(func=ast.Name(id="figure"), args=[owner, ast.Constant(value=str(name))])
            ) if of_event(owner):
                yield "field", name
            case ast.Compare(
                left=ast.Subscript(slice=ast.Constant(value="kind")), comparators=[others]
            ):
                for one in ast.walk(others):
                    if isinstance(one, ast.Constant):
                        yield "kind", str(one.value)


def test_readers_ask_for_declared_kinds_and_fields() -> None:
    known = {("field", one.name) for kind in KINDS.values() for one in fields(kind)}
    known |= {("field", name) for name in ("v", "t", "kind")} | {("kind", name) for name in KINDS}
    found = {
        (what, name, str(path.relative_to(ROOT)))
        for path in SOURCES
        if path.name != "archive.py"  # it reads evaluations
        for what, name in asked(ast.parse(path.read_text("utf-8")))
    }
    assert len(found) > 50
    assert not [one for one in found if one[:2] not in known]


def test_one_place_writes_events() -> None:
    writers = [
        path.relative_to(ROOT).parts[1]
        for path in SOURCES
        if "EventWriter(" in path.read_text("utf-8") and path.name != "events.py"
    ]
    assert set(writers) == {"training"}
