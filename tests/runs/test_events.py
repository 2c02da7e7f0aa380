"""The event stream: torn lines, damaged lines, growing files, numbers JSON lacks."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streams import FreeWriter
from tests.training.test_train import entries, run_it, small_recipe  # noqa: F401
from yofo_mlx.runs.events import (
    BLOCK,
    MAX_READ,
    EventReader,
    EventWriter,
    backwards,
    last_event,
    parse,
)
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.training.trainer import Trainer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_a_reader_sees_events_as_they_come(path: Path) -> None:
    reader, writer = EventReader(path), FreeWriter(path)
    assert reader.read() == []
    writer.write("step", step=1)
    assert [event["step"] for event in reader.read()] == [1]
    writer.write("step", step=2)
    writer.write("step", step=3)
    assert [event["step"] for event in reader.read()] == [2, 3]
    assert reader.read() == []


def test_a_torn_last_line_waits_until_it_is_whole(path: Path) -> None:
    reader, writer = EventReader(path), FreeWriter(path)
    writer.write("step", step=1)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"v": 1, "t": 2, "kind": "st')
    assert len(reader.read()) == 1
    with path.open("ab") as file:
        file.write(b'ep", "step": 2}\n')
    assert [event["step"] for event in reader.read()] == [2]


def test_a_writer_after_a_kill_leaves_the_torn_line_alone(path: Path) -> None:
    path.write_bytes(b'{"v": 1, "t": 1, "kind": "step", "st')
    FreeWriter(path).write("step", step=7)
    assert [event["step"] for event in EventReader(path)] == [7]


def test_a_missing_file_has_no_events(path: Path) -> None:
    assert EventReader(path).read() == []
    assert last_event(path) is None


def test_a_line_longer_than_a_bite_is_passed_over(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_READ + 10) + b"\n")
    FreeWriter(path).write("step", step=1)
    assert [event["step"] for event in EventReader(path)] == [1]


def test_nan_is_written_as_json_that_every_reader_reads(path: Path) -> None:
    FreeWriter(path).write("step", loss=float("nan"), by_shots=[{"loss": float("inf")}])
    text = path.read_text()
    event = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert (event["loss"], event["by_shots"]) == ("nan", [{"loss": "inf"}])


@given(st.binary())
def test_no_line_breaks_the_reader(line: bytes) -> None:
    event = parse(line)
    assert event is None or isinstance(event["kind"], str)


@given(junk=st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b), max_size=5))
def test_damaged_lines_hide_no_event(
    junk: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in junk))
    FreeWriter(path).write("finished", step=3)
    assert [event for event in EventReader(path) if event["kind"] == "finished"]
    last = last_event(path)
    assert last is not None and last["kind"] == "finished"


def test_the_last_step_is_found_after_hours_of_progress(path: Path) -> None:
    writer = FreeWriter(path)
    writer.write("eval", step=1, loss=0.5, best=True)
    writer.write("step", step=1, loss=0.25)
    line = b'{"v": 1, "t": 1.5, "kind": "progress", "step": 2, "phase": "a \\"step\\""}\n'
    writer.append(line * 30_000)
    assert path.stat().st_size > 8 * BLOCK
    found = backwards(path, ("step", "eval"))
    assert [(event["kind"], event["step"]) for event in found] == [("step", 1), ("eval", 1)]
    last = last_event(path)
    assert last is not None and last["kind"] == "progress"


@given(
    lines=st.lists(st.integers(0, 400).map(lambda n: b"x" * n) | st.just(b'{"t":1,"kind":"a"}')),
    is_torn=st.booleans(),
)
def test_a_stream_read_backwards_is_the_one_read_forwards(
    lines: list[bytes], is_torn: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    numbered = [line.replace(b"1", b"%d" % place) for place, line in enumerate(lines)]
    path.write_bytes(b"\n".join(numbered) + (b"" if is_torn else b"\n"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("yofo_mlx.runs.events.BLOCK", 64)
        backward = list(backwards(path))
    whole = [event for line in numbered if (event := parse(line))]
    assert backward[::-1] == whole


def test_progress_inside_a_long_step_is_shown_each_second_and_written_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, shown, writer = [0.0], [], EventWriter(tmp_path / "events.jsonl")
    monkeypatch.setattr("yofo_mlx.training.trainer.time.monotonic", lambda: clock[0])
    nothing: Any = None
    first: Any = SimpleNamespace(state=SimpleNamespace(step=0))
    progress = Trainer(nothing, first, writer, shown.append, bool, bool).begin_pass(0, 1)
    for second in range(3600):
        clock[0] = float(second)
        progress(second, 3600, "forward")
    kept = [event["done"] for event in EventReader(tmp_path / "events.jsonl")]
    assert len(shown) == 3599 and len(kept) == 360 and kept[:3] == [1, 11, 21]
    assert {event["kind"] for event in shown} == {"progress"}


def test_who_listens_to_a_trainer_hears_what_a_reader_of_its_files_reads(
    entries: list[TaskEntry],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("yofo_mlx.training.trainer.KEPT_EVERY_S", 0.0)  # all progress is written
    recipe = small_recipe()
    run, heard = run_it(recipe, entries, stop_after=2)
    assert heard == list(run.events())
    _, heard = run_it(recipe, entries, run=run)
    assert heard[0] == last_event(run.past_path) and heard[0]["kind"] == "resumed"
    whole = list(run.events())
    assert heard[1:] == whole[-len(heard) + 1 :] and len(heard) > 4


def test_a_run_that_never_began_does_not_go_on_though_its_words_are_kept(path: Path) -> None:
    writer = FreeWriter(path)
    for kind in ("loading", "progress", "stopped", "loading"):
        writer.write(kind, step=0)
    assert writer.roll_back(0, 0) is None
    past = path.with_name("past.jsonl")
    assert [event["kind"] for event in EventReader(past)][:3] == ["loading", "progress", "stopped"]
    writer.write("started")
    resumed = writer.roll_back(0, 0)
    assert resumed is not None and resumed == last_event(past)


@pytest.mark.parametrize("told", ["loading", "loading progress", "loading failed loading progress"])
def test_a_stream_that_was_lost_begins_without_the_words_of_loading(path: Path, told: str) -> None:
    writer = FreeWriter(path)
    for kind in told.split():
        writer.write(kind, step=0)
    writer.roll_back(10_000, 6)  # where a checkpoint says that the stream was
    assert not list(EventReader(path))
    writer.write("failed", step=7)  # of the training
    writer.write("loading")
    writer.roll_back(10_000, 7)
    assert [event["step"] for event in EventReader(path)] == [7]


def test_a_run_that_lost_nothing_goes_on_in_words_too(path: Path) -> None:
    writer = FreeWriter(path)
    writer.write("started")
    resumed = writer.roll_back(writer.position, 3)
    assert resumed is not None and resumed["step"] == 3
    assert list(EventReader(path.with_name("past.jsonl"))) == [resumed]
