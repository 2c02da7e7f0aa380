"""What takes room: all of it is listed, and what goes comes back as it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.runs.test_keeping import contents, make
from yofo_mlx.runs import lock
from yofo_mlx.runs.events import EventWriter
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.kinds import FinishedEvent, StoppedEvent
from yofo_mlx.storage import bin
from yofo_mlx.storage.disk import items
from yofo_mlx.system import paths
from yofo_mlx.system.files import size_of


def ended(name: str, *, finished: bool = True) -> Run:
    run = make(name)
    run.checkpoint_path(3).mkdir(parents=True)
    (run.checkpoint_path(3) / "weights").write_bytes(b"0" * 1000)
    writer = EventWriter(run.events_path)
    end = FinishedEvent(step=3, best_step=3, seconds=1.0)
    writer.write(end if finished else StoppedEvent(step=3, reason="asked to stop"))
    writer.close()
    run.lock_path.touch()
    return run


def fill(folder: Path, name: str, size: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"1" * size)
    return folder / name


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", tmp_path / "hub")
    repo = tmp_path / "hub" / "models--own--small"
    blob = fill(repo / "blobs", "abc", 5000)
    snapshot = repo / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to(blob)
    fill(repo / "refs", "main", 0).write_text("0" * 40)
    return repo


def test_everything_that_takes_room_is_listed_once(hub: Path) -> None:
    run = ended("mine")
    fill(paths.prompts(), "a.safetensors", 700)
    fill(paths.base_results(), "b.json", 10)
    fill(paths.demos(), "mine.jsonl", 3)
    fill(paths.demos() / "mine.caches", "c.safetensors", 600)
    fill(paths.adapters() / "peft-0", "adapters.safetensors", 50)
    found = items()
    assert [one.nbytes for one in found] == sorted((x.nbytes for x in found), reverse=True)
    names = {one.name: one.nbytes for one in found}
    run_bytes = names.pop(f"run:{run.run_id}") + names.pop(f"checkpoints:{run.run_id}")
    assert run_bytes == size_of(run.path)
    caches = {
        "prompts:a.safetensors": 700,
        "demos:mine": 600,
        "base-results": 10,
        "adapter:peft-0": 50,
    }
    assert names == caches | {"hub:own/small": 5000}


def test_what_goes_comes_back_as_it_was(yofo: Any, hub: Path) -> None:
    run, other = ended("mine"), ended("other", finished=False)
    fill(paths.prompts(), "a.safetensors", 700)
    fill(paths.demos() / "mine.caches", "c.safetensors", 600)
    before = contents(paths.home())
    assert yofo("disk", "free", "checkpoints", "prompts", "demos")[0] == 0
    assert not run.checkpoints_path.exists() and other.checkpoints_path.exists()
    assert not any(paths.prompts().iterdir())
    assert yofo("disk", "free", "run:" + other.run_id)[0] == 0
    for _ in range(4):
        assert yofo("disk", "undo")[0] == 0
    assert contents(paths.home()) == before
    assert yofo("disk", "undo")[0] == 2


def test_what_cannot_come_back_goes_only_when_that_is_said(yofo: Any, hub: Path) -> None:
    fill(paths.prompts(), "a.safetensors", 700)
    yofo("disk", "free", "prompts")
    code, _, err = yofo("disk", "free", "trash", "own/small")
    assert code == 2 and "hub:own/small" in err and hub.exists() and bin.thrown()
    assert yofo("disk", "free", "trash", "own/small", "--for-good")[0] == 0
    assert not hub.exists() and not bin.thrown()


def test_a_run_that_is_trained_stays_whole(yofo: Any, hub: Path) -> None:
    run = ended("mine", finished=False)
    with lock.locked(run.path):
        for kind in ("checkpoints", "run"):
            assert yofo("disk", "free", f"{kind}:{run.run_id}")[0] == 1
        assert yofo("disk", "free", "checkpoints")[0] == 2
    assert run.checkpoints_path.exists()


def test_what_lay_in_a_run_that_is_gone_is_not_brought_back_to_nowhere(
    yofo: Any, hub: Path
) -> None:
    run = ended("mine")
    yofo("disk", "free", "checkpoints")
    shutil.rmtree(run.path)
    code, _, err = yofo("disk", "undo")
    assert code == 1 and "has gone" in err and bin.thrown() and not run.path.exists()


def test_what_has_no_place_left_does_not_keep_the_rest_from_coming_back(
    yofo: Any, hub: Path
) -> None:
    run, cache = ended("mine"), fill(paths.prompts(), "a.safetensors", 700)
    yofo("disk", "free", "prompts")
    yofo("disk", "free", "checkpoints")
    shutil.rmtree(run.path)
    assert yofo("disk", "undo")[0] == 0 and cache.exists()


def test_what_lay_in_a_run_comes_back_to_it_under_its_new_name(yofo: Any, hub: Path) -> None:
    run = ended("mine")
    yofo("disk", "free", "checkpoints")
    assert yofo("rename", run.run_id, "other")[0] == 0
    assert yofo("disk", "undo")[0] == 0
    assert (run.path.with_name("other") / "checkpoints").is_dir() and not run.path.exists()


def test_the_list_is_json_too_and_empty_where_nothing_is(yofo: Any, tmp_path: Path) -> None:
    code, out, _ = yofo("disk", "--json")
    assert code == 0 and json.loads(out)["free"] > 0
    assert yofo("disk")[0] == 0
    for bad in ("", "nothing", "checkpoints"):
        assert yofo("disk", "free", bad)[0] == 2
