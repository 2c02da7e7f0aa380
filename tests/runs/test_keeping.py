"""Runs renamed, removed and brought back: none is ever lost, and each stays what it was."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.draws import draws
from tests.runs.test_runs import hold
from yofo_mlx.errors import RecipeError, RunError, YofoError
from yofo_mlx.runs import listing, trash
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.names import short as short_names
from yofo_mlx.system import paths
from yofo_mlx.system.files import size_of


def make(name: str, content: str = "") -> Run:
    run = listing.create(name)
    run.recipe_path.write_text(content)
    run.adapter_path.mkdir()
    (run.adapter_path / "adapters.safetensors").write_bytes(os.urandom(100))
    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_removed_run_comes_back_as_it_was(yofo: Any) -> None:
    run = make("one")
    before = contents(run.path)
    code, out, err = yofo("rm", "last")
    assert (code, out) == (0, "")
    assert yofo("runs", "--json")[1] == "[]\n"
    command = next(line for line in err.splitlines() if "yofo restore" in line)
    code, out, _ = yofo(*shlex.split(command.split("yofo ")[1]))
    assert (code, out) == (0, f"{run.path}\n")
    assert contents(run.path) == before
    assert list(trash.folder().iterdir()) == []


def test_the_trash_is_listed_and_emptied_with_what_it_frees(yofo: Any) -> None:
    sizes = {run.run_id: size_of(run.path) for run in (make("a"), make("b"))}
    yofo("rm", "a", "b")
    rows = json.loads(yofo("restore", "--json")[1])
    assert {row["run_id"]: row["bytes"] for row in rows} == sizes
    code, out, err = yofo("restore")
    assert code == 0 and len(out.splitlines()) == 3 and "yofo rm --empty" in err
    assert yofo("rm", "--empty", "a")[0] == 0
    assert [removed.run_id for removed in trash.removed_runs()] == [rows[0]["run_id"]]
    (trash.folder() / ".part.5").mkdir()
    assert "1 run deleted for good" in yofo("rm", "--empty")[2]
    assert list(trash.folder().iterdir()) == []
    assert "the trash is empty" in yofo("rm", "--empty")[2]
    assert "the trash is empty" in yofo("restore")[2]


def test_what_is_removed_stays_until_the_trash_is_emptied(yofo: Any) -> None:
    run = make("a")
    yofo("rm", "a")
    assert yofo("rm", "a")[0] == 2
    assert yofo("rm", "--empty", "nothing")[0] == 2
    assert [removed.run_id for removed in trash.removed_runs()] == [run.run_id]


@pytest.mark.parametrize("verb", [("rm", "one"), ("rm", "two", "one"), ("rename", "one", "new")])
def test_a_running_run_stays_and_the_command_that_stops_it_is_told(
    yofo: Any, verb: tuple[str, ...]
) -> None:
    run, other = make("one"), make("two")
    process = hold(run)
    try:
        code, _, err = yofo(*verb)
    finally:
        process.kill()
        process.wait()
    assert code == 1 and f"process {process.pid}" in err
    assert f"yofo stop {run.run_id}" in err
    assert listing.list_runs() == [other, run]


@pytest.mark.parametrize("names", [("a", "nothing"), ("a", "b"), ("a", ""), ("",), ("a", "no*")])
def test_runs_are_removed_all_or_none(yofo: Any, names: tuple[str, ...]) -> None:
    made = [make(name) for name in ("a1", "b1", "b2")]
    assert yofo("rm", *names)[0] == 2
    assert listing.list_runs() == made[::-1]


def test_a_run_named_twice_is_removed_once(yofo: Any) -> None:
    run = make("one")
    assert yofo("rm", "last", run.run_id, run.path)[0] == 0
    assert len(trash.removed_runs()) == 1


def test_a_run_elsewhere_is_refused_in_words(yofo: Any, tmp_path: Path) -> None:
    folder = tmp_path / "else where"
    make("one").path.rename(folder)
    code, _, err = yofo("rm", folder)
    assert code == 1 and f"rm -r {shlex.quote(str(folder))}" in err
    assert folder.is_dir()


def test_a_run_is_known_by_its_path_through_a_linked_folder_of_runs(
    yofo: Any, yofo_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (yofo_home / "runs").symlink_to(tmp_path / "disk")
    run = make("one")
    monkeypatch.chdir(tmp_path / "disk")
    assert listing.find(run.run_id) == run
    monkeypatch.chdir(run.adapter_path)
    assert listing.find("..") == run
    monkeypatch.chdir(tmp_path)
    assert yofo("rm", tmp_path / "disk" / run.run_id)[0] == 0
    assert yofo("restore", "one")[0] == 0
    assert listing.find("one") == run


def test_a_linked_run_is_only_a_link_that_is_removed(yofo: Any, tmp_path: Path) -> None:
    run = make("one")
    run.path.rename(tmp_path / "kept")
    run.path.symlink_to(tmp_path / "kept")
    before = contents(tmp_path / "kept")
    assert yofo("rm", "one")[0] == 0 and listing.list_runs() == []
    assert yofo("restore", "one")[0] == 0 and listing.list_runs() == [run]
    yofo("rm", "one")
    assert yofo("rm", "--empty")[0] == 0
    assert contents(tmp_path / "kept") == before


def test_a_name_that_was_taken_meanwhile_is_told_with_the_way_out(yofo: Any) -> None:
    first = make("one")
    yofo("rm", "one")
    trash.rename(make("two"), first.run_id)
    code, _, err = yofo("restore", first.run_id)
    assert code == 2 and f"yofo restore {first.run_id} --name NAME" in err
    assert yofo("restore", first.run_id, "--name", "back")[0] == 0
    assert [run.run_id for run in listing.list_runs()] == [first.run_id, "back"]


def test_of_several_with_one_name_the_last_one_removed_comes_back(yofo: Any) -> None:
    made = []
    for _ in range(2):
        made.append(contents(trash.rename(make("x"), "same").path))
        yofo("rm", "same")
    assert yofo("restore", "same")[0] == 0
    assert contents(listing.find("same").path) == made[1]
    trash.rename(listing.find("same"), "other")
    yofo("restore", "same")
    assert contents(listing.find("same").path) == made[0]


def test_a_run_in_the_trash_is_offered_where_it_is_asked_for(yofo: Any) -> None:
    run = make("one")
    yofo("rm", "one")
    for verb in ("runs", "watch", "chat"):
        assert "yofo restore one" in yofo(verb, "one")[2]
    yofo("restore", run.run_id)
    assert "is not in the trash" in yofo("restore", "one")[2]


@pytest.mark.parametrize("name", ["größe 日本", "New_Name", "हिन्दी 3", "a/../b", "x" * 150])
def test_a_run_is_renamed_to_letters_of_any_script(yofo: Any, name: str) -> None:
    run = make("one")
    before = contents(run.path)
    code, out, err = yofo("rename", "last", name)
    renamed = Path(out.strip())
    assert code == 0 and renamed.parent == run.path.parent and not run.path.exists()
    assert f"{run.run_id} is now {renamed.name}" in err
    assert contents(renamed) == before
    assert listing.find(name.lower() if "/" not in name else "a-b").path == renamed
    assert yofo("rename", renamed.name, run.run_id)[0] == 0  # and back
    assert contents(run.path) == before


@pytest.mark.parametrize("name", ["...", "", "last", "LAST", "x" * 300, "語" * 99, "Other", "one"])
def test_a_name_that_no_run_can_have_is_refused(yofo: Any, name: str) -> None:
    trash.rename(make("x"), "other")
    run = trash.rename(make("x"), "one")
    code, _, err = yofo("rename", "one", name)
    assert code == 2 and len(err.splitlines()) == 2
    assert listing.find("last") == run


def test_a_run_that_begins_from_an_adapter_goes_by_its_new_name(yofo: Any) -> None:
    first, second = make("first"), make("second")
    second.note(recipe={"init_adapter": str(first.adapter_path)})
    yofo("rename", "first", "new")
    named = listing.find("new").adapter_path
    assert listing.find("second").info().recipe == {"init_adapter": str(named)}
    assert second.run_id in yofo("rm", "new")[2]
    yofo("restore", "new", "--name", "newer")
    assert listing.find("second").info().recipe == {
        "init_adapter": str(listing.find("newer").adapter_path)
    }


def test_a_trash_that_cannot_be_made_is_told_and_nothing_is_moved(yofo: Any) -> None:
    run = make("one")
    trash.folder().write_text("")
    code, _, err = yofo("rm", "one")
    assert code == 1 and "nothing can be put into" in err and len(err.splitlines()) == 2
    assert listing.list_runs() == [run]


def other_disk() -> Path:
    """Return a folder on another file system."""
    shared_memory = Path("/dev/shm")
    if not (os.access(shared_memory, os.W_OK)):
        pytest.skip("there is no other file system")
    folder = Path(tempfile.mkdtemp(dir=shared_memory))
    if folder.stat().st_dev == paths.home().stat().st_dev:
        pytest.skip("there is no other file system")
    return folder


KILLED = """
import os, shutil, sys
from yofo_mlx.runs import listing, trash
setattr(shutil, sys.argv[1], lambda *_, **__: os._exit(9))
"""
REMOVE = 'trash.remove(listing.find("one"))'
DELETE = "trash.delete(trash.removed_runs())"


def killed_at(function: str, action: str) -> None:
    """Do something in another process, killed where it calls a function of `shutil`."""
    done = subprocess.run([sys.executable, "-c", KILLED + action, function], check=False)
    assert done.returncode == 9


def test_a_trash_on_another_disk_gets_a_whole_copy_or_none(yofo: Any) -> None:
    run = make("one")
    before, disk = contents(run.path), other_disk()
    try:
        trash.folder().symlink_to(disk)
        for cut_off, copies in (("copytree", []), ("rmtree", [before])):
            killed_at(cut_off, REMOVE)
            assert [contents(removed.path) for removed in trash.removed_runs()] == copies
            assert contents(run.path) == before
        yofo("rm", "--empty")
        assert list(disk.iterdir()) == []
        assert yofo("rm", "one")[0] == 0 and listing.list_runs() == []
        assert yofo("restore", "one")[0] == 0
        assert contents(run.path) == before
    finally:
        shutil.rmtree(disk)


def test_a_trash_that_was_emptied_half_way_offers_no_half_of_a_run() -> None:
    trash.remove(make("one"))
    killed_at("rmtree", DELETE)
    assert trash.removed_runs() == []
    assert trash.delete_leftovers() > 0


NAMES = st.sampled_from(["a", "A", "b", "ab", "größe", "a b", "last", "...", "1"])


class Keeping(RuleBasedStateMachine):
    """Any sequence of what may be done to runs."""

    def __init__(self) -> None:
        super().__init__()
        self.known: list[str] = []

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        self.known.append(repr(contents(make(name).path)))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        self._try(lambda: trash.remove(listing.find(name)))

    @rule(name=NAMES, other=st.none() | NAMES)
    def restore(self, name: str, other: str | None) -> None:
        self._try(lambda: trash.restore(trash.find_removed(name), other))

    @rule(name=NAMES, new=NAMES)
    def rename(self, name: str, new: str) -> None:
        self._try(lambda: trash.rename(listing.find(name), new))

    def _try(self, action: Any) -> None:
        before = self._places()
        try:
            action()
        except YofoError as error:
            assert isinstance(error, RecipeError | RunError) and error.hint
            assert self._places() == before

    def _places(self) -> list[Path]:
        return sorted(
            [run.path for run in listing.list_runs()] + [one.path for one in trash.removed_runs()]
        )

    @invariant()
    def none_is_lost(self) -> None:
        assert Counter(repr(contents(path)) for path in self._places()) == Counter(self.known)

    @invariant()
    def each_is_found_by_its_short_name(self) -> None:
        everyone = [run.run_id for run in listing.list_runs()]
        for run_id, short in zip(everyone, short_names(everyone), strict=True):
            assert listing.find(short).run_id == run_id


def test_no_sequence_loses_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class OfAHome(Keeping):
        def __init__(self) -> None:
            super().__init__()
            monkeypatch.setenv("YOFO_HOME", tempfile.mkdtemp(dir=tmp_path))

    OfAHome.TestCase.settings = draws(60, stateful_step_count=20)
    OfAHome.TestCase("runTest").runTest()


def test_a_copy_that_was_cut_off_is_no_run_and_goes_with_the_trash(yofo: Any) -> None:
    run = make("one")
    shutil.copytree(run.path, run.path.with_name(f".part.{run.run_id}.x"))
    assert listing.list_runs() == [run]
    assert "freed" in yofo("rm", "--empty")[2]
    assert list(paths.runs().iterdir()) == [run.path]


def test_a_new_run_has_a_number_that_none_in_the_trash_has() -> None:
    first = make("one")
    trash.remove(first)
    second = make("two")
    trash.restore(trash.find_removed("one"))
    assert listing.list_runs() == [second, first]
    assert second.info().number > first.info().number


def test_a_run_elsewhere_is_renamed_where_it_lies(yofo: Any, tmp_path: Path) -> None:
    make("one").path.rename(tmp_path / "here")
    assert yofo("rename", tmp_path / "here", "There")[1] == f"{tmp_path / 'there'}\n"
    (tmp_path / "taken").write_text("")
    assert yofo("rename", tmp_path / "there", "taken")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken", "there"]


def test_a_damaged_run_is_removed_and_comes_back_as_it_was(yofo: Any) -> None:
    run = make("one", content="no [ recipe")
    run.lock_path.mkdir()
    (run.path / "run.json").write_bytes(b'{"format": 99, "recipe": "\xff')
    (run.path / "events.jsonl").mkdir()
    os.mkfifo(run.adapter_path / "pipe")
    before = contents(run.path)
    assert yofo("rm", "one")[0] == 0 and yofo("restore")[0] == 0
    assert yofo("restore", "one")[0] == 0
    assert contents(run.path) == before
    assert yofo("rename", "one", "two")[0] == 0


def test_a_run_of_a_newer_version_can_be_looked_at_and_removed(yofo: Any) -> None:
    make("one").note(format=99)
    assert yofo("runs", "one")[0] == 0
    assert yofo("rm", "one")[0] == 0 and yofo("restore", "one")[0] == 0
    assert yofo("resume", "one")[0] == 1


@pytest.mark.parametrize(
    "verb", [["rm"], ["restore", "--name", "x"], ["restore", "a", "b", "--name", "x"]]
)
def test_what_is_left_out_is_told(yofo: Any, verb: list[str]) -> None:
    code, _, err = yofo(*verb)
    assert code == 2 and len(err.splitlines()) == 2
