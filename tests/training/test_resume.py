"""What a run that goes on is: the one that began, whatever was done to files meanwhile."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import trained_in
from tests.streams import FreeWriter
from yofo_mlx.runs import listing
from yofo_mlx.runs.diagnosis import explain
from yofo_mlx.runs.events import last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import paths
from yofo_mlx.training.checkpoints import list_checkpoints

ROWS = "".join(f'{{"input": "question {i}", "output": "yes"}}\n' for i in range(20))
RECIPE = """
model = "tiny"
lora = {{ rank = 2 }}
episodes = {{ max_tokens = 96 }}
evaluation = {{ valid_tasks = 1, queries = 1, shots = [0] }}
train = {{ steps = 4, checkpoint_every = 1, keep_checkpoints = 3 }}
[[tasks]]
source = "{}"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with rows and a recipe that trains on them in a moment."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "rows.jsonl").write_text(ROWS)
    (folder / "own.toml").write_text(RECIPE.format(folder / "rows.jsonl"))
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run that is done, for copies of it to be taken back."""
    return trained_in(tmp_path_factory.mktemp("finished"), data / "own.toml")


@pytest.fixture
def run(finished: Run) -> Run:
    """Return a run that died after its third step."""
    copy = Run(paths.runs() / finished.run_id)
    shutil.copytree(finished.path, copy.path)
    shutil.rmtree(copy.checkpoint_path(4))
    lines = copy.events_path.read_text().splitlines(keepends=True)
    copy.events_path.write_text("".join(lines[:-1]))
    return copy


@pytest.fixture
def rows(data: Path) -> Iterator[Path]:
    """Return the run's data, which is put right again."""
    path = data / "rows.jsonl"
    yield path
    path.write_text(ROWS)


def warnings(run: Run) -> list[str]:
    return [event["message"] for event in run.events() if event["kind"] == "warning"]


def test_a_finished_run_has_nothing_left_to_do(yofo: Any, run: Run) -> None:
    assert yofo("resume", "last")[0] == 0
    before = run.events_path.read_bytes()
    for how in ((), ("--detach",), ("--restarts", "2")):
        code, out, err = yofo("resume", "last", *how)
        assert (code, out.strip()) == (0, str(run.path)) and "is finished, after 4 steps" in err
    assert run.events_path.read_bytes() == before


def test_what_a_resume_takes_back_is_kept_beside(yofo: Any, run: Run) -> None:
    with run.events_path.open("a") as file:
        file.write('{"v": 1, "t": 1, "kind": "step", "step": 99}\n{"v": 1, "t": 1, "ki')
    assert yofo("resume", "last")[0] == 0
    steps = [event["step"] for event in run.events() if event["kind"] == "step"]
    assert steps == [1, 2, 3, 4]
    past = [
        json.loads(line)
        for line in (run.path / "past.jsonl").read_text().splitlines()
        if line
        if not line.endswith('"ki')
    ]
    assert [event["step"] for event in past if event["kind"] == "step"] == [4, 99]
    assert (past[-1]["kind"], past[-1]["step"]) == ("resumed", 3)


def test_data_that_changed_is_told(yofo: Any, run: Run, rows: Path) -> None:
    rows.write_text(ROWS.replace("yes", "maybe"))
    _, _, err = yofo("resume", "last")
    assert "the data of 1 task changed since the run began: rows" in err
    assert "the data of 1 task " in warnings(run)[-1]


def test_data_that_did_not_change_is_not_mentioned(yofo: Any, run: Run) -> None:
    assert yofo("resume", "last")[0] == 0
    assert not warnings(run)


def test_data_that_vanished_ends_a_resume_in_words_and_loses_nothing(
    yofo: Any, run: Run, rows: Path
) -> None:
    rows.unlink()
    code, _, err = yofo("resume", "last")
    assert code == 3 and "rows.jsonl" in err and len(err.splitlines()) == 2
    assert run.status() == "failed"
    rows.write_text(ROWS)
    assert yofo("resume", "last")[0] == 0
    assert run.status() == "finished" and not warnings(run)


def test_a_recipe_that_was_edited_does_not_change_the_run(yofo: Any, run: Run) -> None:
    run.recipe_path.write_text(run.recipe_path.read_text().replace("steps = 4", "steps = 40"))
    assert yofo("resume", "last")[0] == 0
    events = list(run.events())
    assert (events[-1]["kind"], events[-1]["step"]) == ("finished", 4)
    assert "recipe.toml was edited" in warnings(run)[-1]


def test_other_versions_and_another_model_are_told(yofo: Any, run: Run) -> None:
    info = run.info()
    assert info.model is not None
    other = info.model.model_copy(update={"fingerprint": "another"})
    run.note(versions=info.versions | {"mlx": "0.1"}, model=other)
    assert yofo("resume", "last")[0] == 0
    told = " / ".join(warnings(run))
    assert "mlx 0.1 is now" in told and "files of model tiny changed" in told


@pytest.mark.parametrize("verb", ["resume", "stop", "eval", "watch", "chat"])
def test_a_run_of_a_newer_version_is_refused_readably(yofo: Any, run: Run, verb: str) -> None:
    run.note(format=2)
    before = sorted(path.name for path in run.path.iterdir())
    code, _, err = yofo(verb, "last")
    assert code == 1 and "made by a newer yofo" in err and "update yofo" in err
    assert sorted(path.name for path in run.path.iterdir()) == before
    assert yofo("runs")[0] == 0


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "name", ["adapters.safetensors", "optimizer_state.safetensors", "trainer_state.json"]
)
def test_a_corrupt_checkpoint_is_named_and_the_one_before_is_used(
    yofo: Any, run: Run, name: str
) -> None:
    adapter = (run.adapter_path / "adapters.safetensors").read_bytes()
    newest = list_checkpoints(run)[0]
    damage(newest / name)
    assert yofo("resume", "last")[0] == 0
    assert f"checkpoint {newest} cannot be read" in warnings(run)[-1]
    assert newest.with_name("0000003-unreadable").is_dir()
    assert [event["step"] for event in run.events() if event["kind"] == "step"] == [1, 2, 3, 4]
    assert (run.adapter_path / "adapters.safetensors").read_bytes() == adapter


def test_when_no_checkpoint_can_be_read_the_run_says_so_and_keeps_them(yofo: Any, run: Run) -> None:
    for path in list_checkpoints(run):
        damage(path / "adapters.safetensors")
    before = list_checkpoints(run)
    for _ in range(2):
        code, _, err = yofo("resume", "last")
        assert code == 1 and err.count("cannot be read") == 2 and "begin at step 0" in err
    assert list_checkpoints(run) == before


def test_a_half_written_checkpoint_is_not_taken_for_one_and_is_removed(yofo: Any, run: Run) -> None:
    half = run.checkpoints_path / ".part.0000009.abc"
    shutil.copytree(list_checkpoints(run)[0], half)
    assert yofo("resume", "last")[0] == 0
    assert not half.exists() and run.status() == "finished"


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("[metal::malloc] Resource limit (499000) exceeded.", "resource limit"),
        ("[malloc_or_wait] Unable to allocate 123456 bytes.", "out of memory"),
    ],
)
def test_what_mlx_raises_for_want_of_memory_is_two_lines_and_has_a_cause(
    yofo: Any, data: Path, monkeypatch: pytest.MonkeyPatch, message: str, cause: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr("yofo_mlx.training.loop.loss_and_gradients", fail)
    code, _, err = yofo("train", data / "own.toml")
    assert code == 1 and message in err and "yofo resume" in err and "Traceback" not in err
    last = last_event(listing.list_runs()[0].events_path)
    assert last is not None and (last["kind"], last["cause"]) == ("failed", cause)


def test_an_error_that_may_pass_sets_no_checkpoint_aside(
    yofo: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list_checkpoints(run)

    def fail(path: Path) -> None:
        raise RuntimeError("[malloc_or_wait] Unable to allocate 1 bytes.")

    with monkeypatch.context() as context:
        context.setattr("yofo_mlx.training.checkpoints.load_arrays", fail)
        code, _, err = yofo("resume", "last")
    assert code == 1 and "not enough memory" in err
    assert list_checkpoints(run) == before
    assert yofo("resume", "last")[0] == 0
    assert [event["step"] for event in run.events() if event["kind"] == "step"] == [1, 2, 3, 4]


def test_a_damaged_record_is_told_and_another_recipe_is_refused_with_nothing_moved(
    yofo: Any, run: Run
) -> None:
    before = list_checkpoints(run)
    (run.path / "run.json").write_text("{")
    recipe = run.recipe_path.read_text()
    run.recipe_path.write_text(recipe.replace("rank = 2", "rank = 3"))
    code, _, err = yofo("resume", "last")
    assert code == 1 and "is of another recipe" in err
    assert list_checkpoints(run) == before
    run.recipe_path.write_text(recipe)
    (run.path / "run.json").write_text("{")
    assert yofo("resume", "last")[0] == 0
    assert "run.json is missing or damaged" in warnings(run)[-1]
    info = run.info()
    assert info.format == 1 and info.recipe and info.recipe["lora"]["rank"] == 2


def test_a_checkpoint_that_stepped_aside_for_one_that_never_came_is_put_back(
    yofo: Any, run: Run
) -> None:
    newest = list_checkpoints(run)[0]
    aside = newest.with_name(f".part.{newest.name}.abc")
    aside.mkdir()
    newest.rename(aside / newest.name)
    assert yofo("resume", "last")[0] == 0
    steps = [event["step"] for event in run.events() if event["kind"] == "step"]
    assert steps == [1, 2, 3, 4] and not aside.exists()
    past = (run.path / "past.jsonl").read_text().splitlines()
    assert json.loads(past[-1])["step"] == 3


def test_a_stream_that_is_lost_begins_again_and_says_so(yofo: Any, run: Run) -> None:
    run.events_path.unlink()
    assert yofo("resume", "last")[0] == 0
    assert next(iter(run.events()))["kind"] == "started"
    assert "the events before step 3 are lost" in warnings(run)
    assert run.status() == "finished"


def test_ctrl_c_while_a_run_loads_leaves_it_stopped(
    yofo: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("yofo_mlx.commands.train.load_planned", interrupt)
        code, _, err = yofo("resume", "last")
    assert code == 130 and f"yofo resume {run.run_id}" in err
    assert run.status() == "stopped"
    assert yofo("resume", "last")[0] == 0 and run.status() == "finished"


def test_a_run_that_died_while_it_was_loading_is_dead_whatever_it_was_before(run: Run) -> None:
    writer = FreeWriter(run.events_path)
    for before in ("stopped", "failed"):
        writer.write(before, step=3)
        assert run.status() == before
        writer.write("loading", process=1)
        assert run.status() == "died"
        death = explain(run)
        assert death is not None and death.cause == "killed"


def test_a_run_outside_the_home_is_called_by_its_quoted_path(
    yofo: Any, run: Run, tmp_path: Path
) -> None:
    moved = tmp_path / "moved run"
    run.path.rename(moved)
    assert yofo("resume", moved)[0] == 0
    assert listing.word(Run(moved)) == f"'{moved}'"
