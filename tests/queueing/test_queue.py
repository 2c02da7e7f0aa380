"""The queue: runs one after another, whatever becomes of one of them or of who works it off."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import short, wait_for
from yofo_mlx.errors import RecipeError, RunError, YofoError
from yofo_mlx.queueing import book, changes, studies, worker
from yofo_mlx.queueing.book import Entry
from yofo_mlx.queueing.grid import requests
from yofo_mlx.queueing.studies import QueuedStudy, StudyRequest
from yofo_mlx.runs import listing, lock, trash
from yofo_mlx.runs.crew import Crew
from yofo_mlx.runs.events import EventWriter
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.kinds import FinishedEvent, StoppedEvent
from yofo_mlx.system import paths

__all__ = ["short"]


class Pretenders(Crew):
    """End runs at once, as they are told to end."""

    def __init__(self, ends: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.trained: list[str] = []
        self._ends = ends or {}

    def train(self, run: Run, on_event: Any, **how: Any) -> None:
        name = run.run_id.rpartition("-")[2]
        self.trained.append(name)
        end = self._ends.get(name, FinishedEvent(step=1, best_step=1, seconds=1.0))
        if isinstance(end, Exception):
            raise end
        writer = EventWriter(run.events_path)
        writer.write(end)
        writer.close()


def queued(*names: str, **more: Any) -> list[Run]:
    runs = []
    for name in names:
        run = listing.create(name)
        run.recipe_path.write_text("")
        number, created = listing.origin(run)
        with book.changing() as queue:
            queue.entries.append(Entry(number=number, created=created, name=run.run_id, **more))
        runs.append(run)
    return runs


def outcomes() -> list[str | None]:
    return [one.outcome for one in book.read().entries]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.01)


def test_runs_are_trained_in_their_order() -> None:
    queued("one", "two", "three")
    crew = Pretenders()
    worker.work(None, crew)
    assert crew.trained == ["one", "two", "three"]
    assert outcomes() == ["finished"] * 3
    assert book.worker() is None


@pytest.mark.parametrize("error", [RunError("no memory", "less"), ValueError("a bug")])
def test_a_run_that_fails_does_not_stop_the_rest(error: Exception) -> None:
    queued("one", "two")
    worker.work(None, Pretenders({"one": error}))
    first, second = book.read().entries
    assert first.outcome == "failed" and str(error) in first.message
    assert second.outcome == "finished"


def test_a_run_stopped_by_name_is_over_and_one_held_by_a_pause_is_not() -> None:
    queued("one", "two")
    stopped = StoppedEvent(step=1, reason="asked to stop")

    class Held(Pretenders):
        def train(self, run: Run, on_event: Any, **how: Any) -> None:
            super().train(run, on_event, **how)
            if self.trained == ["one", "two"]:  # as `yofo queue pause --now`
                with book.changing() as queue:
                    queue.paused = queue.entries[1].held = True

    worker.work(None, Held({"one": stopped, "two": stopped}))
    assert outcomes() == ["stopped", None]


def test_a_paused_queue_begins_nothing_and_a_dropped_or_removed_run_is_passed_over() -> None:
    _, gone, _ = queued("one", "two", "three")
    trash.remove(gone)
    with book.changing() as queue:
        queue.paused = True
    crew = Pretenders()
    worker.work(None, crew)
    assert crew.trained == []
    with book.changing() as queue:
        queue.paused = False
    worker.work(None, crew)
    assert crew.trained == ["one", "three"]


def test_a_renamed_run_keeps_its_place() -> None:
    (run,) = queued("one")
    run.path.rename(run.path.with_name("other"))
    crew = Pretenders()
    worker.work(None, crew)
    assert crew.trained == ["other"] and outcomes() == ["finished"]


def test_a_run_with_which_everything_ends_is_given_up() -> None:
    queued("one", starts=book.MOST_STARTS)
    queued("two")
    crew = Pretenders()
    worker.work(None, crew)
    assert crew.trained == ["two"]
    assert outcomes() == ["died", "finished"]


@pytest.mark.parametrize(
    ("at_once", "needed", "room"),
    [(1, 1.0, False), (2, 4.0, True), (2, 7.0, False), (2, None, False)],
)
def test_only_what_fits_is_trained_beside_another(
    at_once: int, needed: float | None, room: bool
) -> None:
    busy, _ = queued("one", "two", needed_gb=needed, limit_gb=10.0)
    with book.changing() as queue:
        queue.at_once = at_once
    queue = book.read()
    assert worker.has_room(queue, queue.entries[1], ())
    with lock.locked(busy.path):
        assert worker.has_room(queue, queue.entries[1], ()) is room
    assert worker.has_room(queue, queue.entries[1], {listing.origin(busy)}) is room


def queue_study(name: str = "mine", **more: Any) -> QueuedStudy:
    request = StudyRequest(name=name, recipe="x = 1\n", folder=str(paths.home() / "studies" / name))
    with book.changing() as queue:
        queue.entries.append(Entry(number=0, created=1.5, name="study", study=request, **more))
        study = queue.placed()[-1][1]
    assert isinstance(study, QueuedStudy)
    return study


@pytest.mark.parametrize(
    ("told", "printed", "outcome", "message"),
    [
        ({"state": "finished", "share": 1.0}, "", "finished", ""),
        ({"state": "stopped", "share": 0.5}, "", "stopped", ""),
        ({"state": "failed", "message": "an arm", "hint": "x"}, "", "failed", "an arm"),
        ({"share": 0.5}, "loading\nerror: no model\n  name one\n", "failed", "no model"),
        ({"share": 0.5}, "", "failed", "killed"),
    ],
)
def test_a_study_is_made_in_its_turn_by_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, Any], printed: str, outcome: str, message: str,
) -> None:  # fmt: skip
    calls: list[list[str]] = []

    class Process:
        def __init__(self, words: list[str], stdout: Any, **how: Any) -> None:
            calls.append(words)
            assert Path(words[-3]).read_text() == "x = 1\n"
            stdout.write(printed.encode())
            study.path.mkdir(parents=True)
            studies.tell(study.path, **told)

        def wait(self) -> None:
            pass

    monkeypatch.setattr(studies.subprocess, "Popen", Process)
    queued("one")
    study = queue_study()
    crew = Pretenders()
    worker.work(None, crew)
    assert crew.trained == ["one"] and [words[-4] for words in calls] == ["study"]
    entry = book.read().entries[1]
    assert entry.outcome == outcome and message in entry.message
    shown = changes.standing(entry, study)
    assert (shown.state, shown.name, shown.run) == (outcome, "study-mine", None)
    changes.drop({entry.origin})
    assert not study.place.exists() and study.path.is_dir()


def test_nothing_is_made_beside_a_study() -> None:
    (run,), study = queued("one", needed_gb=1.0, limit_gb=10.0), queue_study()
    with book.changing() as queue:
        queue.at_once = 2
    queue, origin = book.read(), listing.origin(run)
    assert worker.has_room(queue, queue.entries[1], ())
    assert not worker.has_room(queue, queue.entries[1], {origin})
    assert not worker.has_room(queue, queue.entries[0], {queue.entries[1].origin})
    study.path.mkdir(parents=True)
    with lock.locked(study.path):
        assert book.state(queue.entries[1], study) == "running"
        assert not worker.has_room(queue, queue.entries[0], ())


def test_a_study_is_queued_once_and_only_if_it_could_be_made(yofo: Any, tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    tasks = ('source = "tiny:topic-01"', 'source = "tiny:topic-02"\nrole = "held_out"')
    entries = "".join(f"[[tasks]]\n{task}\n" for task in tasks)
    recipe.write_text(f'model = "tiny"\n[train]\nsteps = 1\n{entries}')
    queue_study("other")
    with book.changing() as queue:
        queue.paused = True
    code, out, _ = yofo("queue", "add", "--study", recipe)
    assert code == 0 and out.strip() == str(paths.home() / "studies" / "small")
    assert [one.study and one.study.name for one in book.read().entries] == ["other", "small"]
    code, _, err = yofo("queue", "add", "--study", recipe)
    assert code == 2 and "queued already" in err
    code, _, err = yofo("queue", "add", "--study", recipe, "--set", "study.arms=['nothing']")
    assert code == 2 and "no arm 'nothing'" in err
    assert yofo("queue", "drop", "study-small")[0] == 0
    assert len(book.read().entries) == 1


def test_a_damaged_queue_is_refused_in_two_lines_and_left_as_it_is() -> None:
    queued("one")
    path = book.folder() / book.FILE
    path.write_text("{")
    with pytest.raises(RunError, match="damaged"), book.changing():
        pass
    assert path.read_text() == "{"


def test_a_grid_is_every_combination_and_all_of_it_is_validated_first(short: Path) -> None:
    axes = ["lora.rank=2,4", 'lora.keys=["a","b"],["c"]']
    cells = requests([str(short)], [], [], axes)
    assert [cell.values for cell in cells] == [
        {"lora.rank": rank, "lora.keys": keys}
        for rank in ("2", "4")
        for keys in ('["a","b"]', '["c"]')
    ]
    assert {cell.request.load().lora.rank for cell in cells} == {2, 4}
    some = requests([str(short)], [], [], axes, 3)
    assert len(some) == 3 and all(cell in cells for cell in some)
    assert some == requests([str(short)], [], [], axes, 3)
    assert requests([str(short)], [], [], axes, 9) == cells
    wide = [f"lora.{key}=" + ",".join(map(str, range(1, 100))) for key in ("rank", "num_layers")]
    assert len(requests([str(short)], [], [], wide, 4)) == 4
    with pytest.raises(RecipeError, match="draws from a grid"):
        requests([str(short)], [], [], [], 4)


@pytest.mark.parametrize(
    "grid", [["lora.rank"], ["lora.rank="], ["=1"], ["lora.rank=1,,2"], ["lora.rank=1,1"],
             ["lora.rank=1", "lora.rank=2"], ["lora.rank=1,x"], ["nothing.here=1"]],
)  # fmt: skip
def test_what_is_no_grid_is_refused(short: Path, grid: list[str]) -> None:
    with pytest.raises(YofoError) as caught:
        requests([str(short)], [], [], grid)
    assert isinstance(caught.value, RecipeError) and caught.value.hint
    assert "--grid" in caught.value.message and "--set" not in caught.value.message


def test_a_grid_of_too_many_runs_is_counted_and_not_made(short: Path) -> None:
    axes = [f"{key}={','.join(map(str, range(2000)))}" for key in ("seed", "a", "b", "c")]
    with pytest.raises(RecipeError, match="16,000,000,000,000 runs"):
        requests([str(short)], [], [], axes)


def test_the_queue_is_told_to_programs_with_and_without_a_verb(yofo: Any) -> None:
    queued("one")
    code, out, _ = yofo("queue", "--json")
    assert code == 0 and json.loads(out) == json.loads(yofo("queue", "list", "--json")[1])


@pytest.fixture
def ended() -> Iterator[None]:
    """End what a test leaves running."""
    yield
    for run in listing.list_runs():
        if pid := lock.holder(run.path):
            os.kill(pid, signal.SIGKILL)
    if pid := book.worker():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.long
@pytest.mark.usefixtures("ended")
def test_queued_runs_survive_the_worker_and_go_on_with_the_next_one(yofo: Any, short: Path) -> None:
    code, out, err = yofo("queue", "add", short, "--grid", "train.seed=1")
    assert code == 2 and "train.seed" in err and not listing.list_runs()
    code, out, err = yofo("queue", "add", short, "--grid", "seed=1,2", "--json")
    assert code == 0 and [row["values"] for row in json.loads(out)] == [
        {"seed": "1"},
        {"seed": "2"},
    ]
    pid = book.worker()
    assert pid and yofo("queue", "add", "--run", "seed-1")[0] == 2
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: book.worker() is None)
    assert yofo("queue", "start")[0] == 0
    wait_for(lambda: outcomes() == ["finished", "finished"])
    code, out, _ = yofo("queue", "list", "--json")
    assert [row["share"] for row in json.loads(out)["entries"]] == [1.0, 1.0]
    assert yofo("queue", "drop", "--ended")[0] == 0
    assert not book.read().entries and len(listing.list_runs()) == 2


@pytest.mark.usefixtures("ended")
def test_what_was_never_begun_goes_to_the_trash_with_a_way_back(yofo: Any, short: Path) -> None:
    assert yofo("queue", "pause")[0] == 0
    assert yofo("queue", "add", short, short, "--name", "mine")[0] == 0
    assert book.worker() is None
    newest, oldest = listing.list_runs()
    assert yofo("queue", "first", newest.run_id)[0] == 0
    assert book.read().entries[0].name == newest.run_id
    code, _, err = yofo("queue", "drop", oldest.run_id)
    assert code == 0 and f"restore {oldest.run_id}" in err
    assert listing.list_runs() == [newest]
    code, _, err = yofo("queue", "retry", newest.run_id)
    assert code == 2 and "waits already" in err
    assert yofo("queue", "drop", "nothing")[0] == 2
