"""Disks that are full, read-only or gone: a clear error or a retry, never a corrupt folder."""

import errno
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.streams import FreeWriter
from tests.training.test_train import SMALL, entries, figures, run_it, small_recipe  # noqa: F401
from yofo_mlx.errors import RunError
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.events import Event, EventReader, parse
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import arrays, files, paths
from yofo_mlx.system.files import PART, new_folder, patiently, write_text
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.training.checkpoints import list_checkpoints

KB = 1024


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, *options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(self.path)]
        subprocess.run(command, check=True, capture_output=True)

    def remount(self, *options: str) -> None:
        command = ["mount", "-o", ",".join(["remount", *options]), str(self.path)]
        subprocess.run(command, check=True, capture_output=True)

    def fill(self, leave: int) -> Path:
        """Fill the disk but for some bytes; return the file to remove for room."""
        ballast = self.path / "ballast"
        assert self.path.is_mount()  # never the disk of whoever runs the tests
        room = shutil.disk_usage(self.path).free - leave
        ballast.write_bytes(b"x" * max(0, room))
        return ballast


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Return a real file system of 8 MB that runs live on."""
    found = Disk(tmp_path / "disk")
    found.path.mkdir()
    try:
        found.mount("size=8m")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system is not allowed here")
    monkeypatch.setenv("YOFO_HOME", str(found.path))
    monkeypatch.setattr(files, "WAITS_S", (0, 0))
    yield found
    monkeypatch.chdir(tmp_path)
    subprocess.run(["umount", "-l", str(found.path)], check=True)


def assert_sound(run: Run) -> None:
    """Check that nothing in a run folder is half-written or torn."""
    assert all(parse(line) for line in run.events_path.read_bytes().splitlines())
    assert not list(run.path.rglob(f"{PART}*"))
    for path in [
        *list_checkpoints(run),
        *([run.adapter_path] if run.adapter_path.exists() else []),
    ]:
        assert arrays.load_arrays(path / "adapters.safetensors")


OTHERS = [pytest.param(room * KB, marks=pytest.mark.long) for room in (0, 8, 150, 260, 420)]


@pytest.mark.parametrize("leave", [60 * KB, *OTHERS])
def test_a_run_whose_disk_fills_up_says_so_and_goes_on_once_there_is_room(
    disk: Disk,
    entries: list[TaskEntry],  # noqa: F811
    leave: int,
) -> None:
    recipe = small_recipe("train.keep_checkpoints=1")
    whole, events = run_it(recipe, entries)
    shutil.rmtree(whole.checkpoints_path)
    run = launch.create_run(recipe, "full")
    ballast = disk.fill(leave)
    try:
        run_it(recipe, entries, run=run)
    except RunError as error:
        assert "is full" in error.message and "yofo resume" in error.hint
    else:
        assert leave > 100 * KB, "it fitted"
    assert_sound(run)
    ballast.unlink()
    if run.status() != "finished":
        run_it(recipe, entries, run=run)
    assert_sound(run)
    assert list(figures(list(run.events()))) == list(figures(events))
    ours, theirs = (
        path / "adapters.safetensors" for path in (run.adapter_path, whole.adapter_path)
    )
    assert ours.read_bytes() == theirs.read_bytes()


def test_the_reason_of_a_run_that_could_not_even_say_so_is_still_known(
    disk: Disk, yofo: Any
) -> None:
    run = launch.create_run(small_recipe(), "full")
    run.lock_path.touch()
    disk.fill(0)
    _, out, _ = yofo("runs")
    assert "the disk was full" in out


def test_no_run_is_left_behind_where_there_is_no_room_for_one(disk: Disk, yofo: Any) -> None:
    disk.fill(0)
    code, _, err = yofo("train", "tiny", *[p for s in SMALL for p in ("--set", s)])
    assert code == 1 and "is full" in err and len(err.splitlines()) == 2
    assert not listing.list_runs() and not list(paths.runs().glob("*"))


@pytest.mark.parametrize("verb", [("train", "tiny"), ("resume", "last")])
def test_a_read_only_disk_is_named(disk: Disk, yofo: Any, verb: tuple[str, ...]) -> None:
    run = launch.create_run(small_recipe(), "read-only")
    disk.remount("ro")
    code, _, err = yofo(*verb)
    assert code == 1 and "read-only" in err.lower() and len(err.splitlines()) == 2
    assert yofo("runs")[0] == 0 and run.status() == "created"


def test_a_volume_that_is_unplugged_ends_the_run_in_words(
    entries: list[TaskEntry],  # noqa: F811
) -> None:
    recipe = small_recipe()
    run = launch.create_run(recipe, "unplugged")
    away = run.path.with_name("away")

    def unplug(event: Event) -> bool:
        if event["kind"] == "step" and event["step"] == 3:
            run.path.rename(away)
        return False

    with pytest.raises(RunError, match="has gone") as caught:
        run_it(recipe, entries, run=run, interrupt=unplug)
    assert "volume" in caught.value.hint
    assert not run.path.exists()
    away.rename(run.path)
    assert_sound(run)
    _, events = run_it(recipe, entries, run=run)
    assert events[-1]["kind"] == "finished"


def test_a_full_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(files, "WAITS_S", (0, 0, 0))
    tried: list[int] = []

    def write() -> str:
        tried.append(1)
        if len(tried) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return "written"

    assert patiently(write, "a file") == "written"
    assert capsys.readouterr().err.count("the disk is full: a file waits") == 2
    tried.clear()

    def fail() -> None:
        tried.append(1)
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        patiently(fail, "a file")
    assert len(tried) == 1


def test_an_event_that_does_not_fit_leaves_no_torn_line(disk: Disk) -> None:
    path = disk.path / "events.jsonl"
    writer = FreeWriter(path)
    writer.write("step", step=1)
    ballast = disk.fill(0)
    with pytest.raises(OSError, match="No space") as caught:
        writer.write("step", step=2, filler="x" * 9000)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes().endswith(b"\n")
    ballast.unlink()
    writer.write("step", step=3)
    assert [event["step"] for event in EventReader(path)] == [1, 3]


def test_a_stream_that_cannot_be_rolled_back_for_want_of_room_stays_as_it_was(disk: Disk) -> None:
    path = disk.path / "events.jsonl"
    writer = FreeWriter(path)
    position = writer.write("started") and writer.position
    for step in range(200):
        writer.write("step", step=step, filler="x" * 100)
    whole = path.read_bytes()
    ballast = disk.fill(4 * KB)
    with pytest.raises(OSError, match="No space"):
        writer.roll_back(position, 0)
    assert path.read_bytes() == whole
    ballast.unlink()
    writer.roll_back(position, 0)
    writer.write("step", step=1)
    assert [event["kind"] for event in EventReader(path)] == ["started", "step"]
    kept = EventReader(path.with_name("past.jsonl")).read()
    assert [event.get("step") for event in kept] == [*range(200), 0]


def test_a_disk_without_room_for_names_is_full_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entries: list[TaskEntry],  # noqa: F811
    disk: Disk,
) -> None:
    disk.remount("nr_inodes=14")
    run = launch.create_run(small_recipe(), "names")
    with pytest.raises(RunError, match="is full"):
        run_it(small_recipe(), entries, run=run)
    disk.remount("nr_inodes=1000")
    run_it(small_recipe(), entries, run=run)
    assert run.status() == "finished"


def test_a_console_on_a_full_disk_does_not_end_the_wait_for_room(
    disk: Disk, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    tried = []

    def write() -> None:
        tried.append(1)
        if len(tried) < 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    patiently(write, "a file")
    assert len(tried) == 2


def test_files_and_folders_on_a_full_disk_stay_what_they_were(disk: Disk) -> None:
    file, folder = disk.path / "file", disk.path / "folder"
    write_text(file, "old")
    with new_folder(folder) as path:
        (path / "a").write_text("old")
    disk.fill(0)
    with pytest.raises(OSError, match="No space"):
        write_text(file, "new" * 9000)
    with pytest.raises(OSError, match="No space"), new_folder(folder) as path:
        (path / "a").write_text("new" * 9000)
    assert (file.read_text(), (folder / "a").read_text()) == ("old", "old")
    assert sorted(path.name for path in disk.path.iterdir()) == ["ballast", "file", "folder"]


def test_a_clock_that_goes_backwards_disturbs_nothing(
    entries: list[TaskEntry],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    yofo: Any,
) -> None:
    recipe = small_recipe()
    _, events = run_it(recipe, entries)
    now = time.time()
    ticks = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: now - 3600 * next(ticks))
    run, backwards = run_it(recipe, entries, stop_after=3)
    _, rest = run_it(recipe, entries, run=run)
    assert list(figures(backwards + rest)) == list(figures(events))
    assert run.status() == "finished"
    code, out, _ = yofo("runs")
    assert code == 0 and "finished" in out
