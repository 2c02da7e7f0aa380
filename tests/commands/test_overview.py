"""`yofo runs`: a table for any terminal, and one run in full, however damaged its folder is."""

import fcntl
import json
import os
import pty
import shlex
import struct
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from tests.runs.test_runs import hold
from tests.streams import FreeWriter
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import TaskInfo
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import child, paths
from yofo_mlx.system.files import size_of
from yofo_mlx.tasks.registry import load_tasks

RECIPE = """
description = "a recipe"
model = "tiny"
seed = 3
train = { steps = 40 }
[[tasks]]
source = "rows.jsonl"
[[tasks]]
source = "held.jsonl"
name = "asked"
role = "held_out"
metric = "f1"
"""


def write_rows(path: Path, count: int) -> None:
    path.write_text("".join(f'{{"input": "in {i}", "output": "out"}}\n' for i in range(count)))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run as a trainer leaves it, whose data are in a folder of their own."""
    write_rows(tmp_path / "rows.jsonl", 50)
    write_rows(tmp_path / "held.jsonl", 20)
    (tmp_path / "mine.toml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "mine.toml")
    run = launch.create_run(recipe, "mine")
    entries = load_tasks(recipe.tasks, recipe.seed, tmp_path)
    run.note(
        data={entry.task.name: entry.fingerprint for entry in entries},
        tasks={entry.task.name: TaskInfo.of(entry) for entry in entries},
    )
    writer = FreeWriter(run.events_path)
    writer.write("started", run_id=run.run_id, model="tiny", steps=40, tokens=None)
    for step in (1, 2):
        figures = {
            "loss": 3.0 - step,
            "share": step / 40,
            "tokens": 100,
            "total_tokens": 100 * step,
        }
        writer.write("step", step=step, tokens_per_s=50.0, **figures)
    writer.write("eval", step=2, loss=1.5, by_shots=[], best=True)
    writer.write("stopped", step=2, reason="asked to stop")
    writer.close()
    run.lock_path.write_text("")
    run.adapter_path.mkdir()
    (run.adapter_path / "adapters.safetensors").write_bytes(bytes(1000))
    return run


def full(yofo: Any, name: str = "last") -> dict[str, Any]:
    code, out, _ = yofo("runs", name, "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_one_run_is_shown_in_full(yofo: Any, run: Run) -> None:
    found = full(yofo, "mine")
    assert (found["run_id"], found["status"], found["process"]) == (run.run_id, "stopped", None)
    assert found["recipe"] == {"seed": 3, "train.steps": 40, "tasks.1.name": "asked"} | {
        "tasks.1.metric": "f1"
    }
    assert [(task["name"], task["role"], task["state"]) for task in found["tasks"]] == [
        ("rows", "train", "as trained"),
        ("asked", "held_out", "as trained"),
    ]
    assert sum(found["tasks"][0][split] for split in ("train", "valid", "test")) == 50
    training = found["training"]
    assert (training["steps"], training["planned_steps"], training["tokens"]) == (2, 40, 200)
    assert training["seconds"] == 4.0  # the pauses between the steps are not counted
    assert (training["best_loss"], training["adapter_step"]) == (1.5, 2)
    disk = found["disk"]
    assert disk["total"] == size_of(run.path)
    assert disk["adapter"] == 1000 and disk["other"] > 0 and disk["evaluations"] == 0
    code, out, _ = yofo("runs", "mine")
    assert code == 0
    for words in ("stopped", "train.steps = 40", "2 of 40 steps", "as trained", "best validation"):
        assert words in out


def test_a_table_of_the_recipe_can_be_seen_by_the_command_that_is_shown(
    yofo: Any, run: Run
) -> None:
    _, out, _ = yofo("runs", "last")
    line = next(line for line in out.splitlines() if "yofo recipes check" in line)
    code, out, _ = yofo(*shlex.split(line.split("yofo ")[1]))
    assert code == 0 and "steps = 40" in out


def test_data_that_changed_or_went_are_told(yofo: Any, run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 51)
    (tmp_path / "held.jsonl").unlink()
    rows, asked = full(yofo)["tasks"]
    assert rows["state"] == "changed" and rows["train"] + rows["valid"] == 51
    assert asked["state"] == "missing" and asked["test"] + asked["valid"] + asked["train"] == 20
    (tmp_path / "rows.jsonl").write_text("{")
    assert full(yofo)["tasks"][0]["state"] == "unreadable"
    _, out, _ = yofo("runs", "last")
    assert "unreadable" in out and "missing now" in out


def test_what_lies_on_the_hub_is_not_asked_for(
    yofo: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = run.info().recipe
    assert recipe is not None
    recipe["tasks"][0]["source"] = "owner/name"
    run.note(recipe=recipe)
    assert full(yofo)["tasks"][0]["state"] == "on the hub"


@pytest.mark.parametrize("verb", [("runs",), ("runs", "mine")])
def test_the_process_of_a_running_run_is_told(yofo: Any, run: Run, verb: tuple[str, ...]) -> None:
    process = hold(run)
    try:
        _, out, _ = yofo(*verb)
        rows = json.loads(yofo("runs", "--json")[1])
    finally:
        process.kill()
        process.wait()
    assert str(process.pid) in out and rows[0]["process"] == process.pid


def test_every_next_line_is_a_command_of_yofo(yofo: Any, run: Run) -> None:
    process = hold(run)
    try:
        running = full(yofo)["next"]
    finally:
        process.kill()
        process.wait()
    stopped = full(yofo)["next"]
    assert [line.split()[1] for line in running] == ["watch", "stop", "chat", "eval"]
    assert [line.split()[1] for line in stopped] == ["resume", "chat", "eval"]
    for line in [*running, *stopped]:
        _, verb, name = shlex.split(line)
        assert listing.find(name) == run and yofo(verb, "--help")[0] == 0


def test_a_finished_run_is_offered_more_steps_and_data_of_ones_own(yofo: Any, run: Run) -> None:
    with run.events_path.open("a") as file:
        file.write('{"v": 1, "t": 1.0, "kind": "finished", "steps": 2}\n')
    found = full(yofo)
    planned = found["training"]["planned_steps"]
    assert found["status"] == "finished"
    assert found["next"][-1] == f"yofo resume {listing.word(run)} --set train.steps={planned}"
    assert f"data of your own: yofo eval {listing.word(run)} --data NEW" in yofo("runs", "last")[1]


def test_a_run_whose_loss_went_up_is_said_to_have_diverged(yofo: Any, run: Run) -> None:
    with run.events_path.open("a") as file:
        for step in range(3, 300):
            file.write(
                json.dumps({"v": 1, "t": 1, "kind": "step", "step": step, "loss": 99}) + "\n"
            )
        file.write('{"v": 1, "t": 1.0, "kind": "finished", "steps": 299}\n')
    code, out, _ = yofo("runs")
    assert code == 0 and "finished, diverged" in out and "lower optimizer.learning_rate" in out
    found = full(yofo)
    assert found["diverged"] and "it has diverged" in found["message"]
    assert not any("resume" in line for line in found["next"])


def test_evaluations_and_notes_are_listed(yofo: Any, run: Run, tmp_path: Path) -> None:
    run.evaluations_path.mkdir()
    scores = [{"shots": 4, "base": 0.25, "adapter": 0.75}]
    content = {
        "date": "2026-01-02T03:04:05+0000",
        "full": True,
        "complete": True,
        "asked": {"tasks": {"asked": {}}, "adapter": {"step": 2}},
        "measured": {"base": {}, "adapter": {}},
        "metrics": [{"metric": "f1", "by_shots": scores}],
    }
    (run.evaluations_path / "0007-full.json").write_text(json.dumps(content))
    (run.evaluations_path / "0008-full.json").write_text("{")
    recipe = (run.info().recipe or {}) | {"init_adapter": str(tmp_path / "gone")}
    change = {"date": "2026-01-01", "unit": "steps", "before": 20, "after": 40}
    change |= {"step": 20, "lr": 1e-4}
    run.note(recipe=recipe, extended=[change])
    found = full(yofo)
    assert [one["number"] for one in found["evaluations"]] == [7]
    _, out, _ = yofo("runs", "last")
    assert "7  2026-01-02 03:04  all held-out tasks, f1 at 4 shots: base 25%, adapter 75%" in out
    assert f"begun from the adapter {tmp_path / 'gone'}, which is not there now" in out
    assert "40 steps since 2026-01-01, 20 before" in out


@pytest.mark.parametrize("name", ["run.json", "recipe.toml", "events.jsonl", "adapter"])
def test_a_damaged_run_is_shown_as_far_as_it_can_be_read(yofo: Any, run: Run, name: str) -> None:
    if name == "adapter":
        (run.adapter_path / "adapters.safetensors").unlink()
        run.adapter_path.rmdir()
        run.adapter_path.write_text("no folder")
    else:
        (run.path / name).write_bytes(b'{"\xff": [')
    code, out, _ = yofo("runs", run.run_id)
    assert code == 0 and out.startswith(run.run_id)
    assert full(yofo, run.run_id)["status"] in ("stopped", "died")


def test_prompt_caches_of_the_adapter_are_counted(yofo: Any, run: Run) -> None:
    import mlx.core as mx

    from yofo_mlx.prompting.fingerprint import adapter_fingerprint

    paths.prompts().mkdir()
    marks = {"own": adapter_fingerprint(run.adapter_path), "foreign": "of another"}
    for name, mark in marks.items():
        metadata = {"0.yofo_prompt_cache": "1", "0.fingerprint": json.dumps({"adapter": mark})}
        place = str(paths.prompts() / f"{name}.safetensors")
        mx.save_safetensors(place, {"x": mx.zeros(3)}, metadata)
    (paths.prompts() / "damaged.safetensors").write_text("{")
    os.mkfifo(paths.prompts() / "pipe.safetensors")
    caches = full(yofo)["disk"]["prompt_caches"]
    assert {Path(path).stem for path in caches} == {"own"} and all(caches.values())


@pytest.mark.long
def test_the_command_that_made_a_run_is_kept(yofo: Any, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 50)
    text = RECIPE.split("[[tasks]]")[0].replace("40", "1") + '[[tasks]]\nsource = "rows.jsonl"\n'
    (tmp_path / "mine.toml").write_text(text)
    assert yofo("train", tmp_path / "mine.toml", "--detach")[0] == 0
    assert yofo("watch", "last")[0] == 0
    command = full(yofo)["command"]
    assert command == ["train", str(tmp_path / "mine.toml"), "--detach"]


@pytest.mark.parametrize("verb", ["runs", "watch", "stop", "resume", "eval", "chat", "rm"])
def test_without_any_run_every_verb_says_how_to_make_one(yofo: Any, verb: str) -> None:
    for name in ("last", "other"):
        code, _, err = yofo(verb, name)
        assert code == 2 and "no runs yet" in err and "`yofo train tiny` makes one" in err


@pytest.mark.parametrize(("name", "meant"), [("lst", "last"), ("mime", "mine"), ("Mien", "mine")])
def test_a_misspelt_run_is_guessed(yofo: Any, run: Run, name: str, meant: str) -> None:
    code, _, err = yofo("runs", name)
    assert code == 2 and "did you mean" in err and meant in err


def many() -> list[Run]:
    """Make runs whose names are told apart by their time, by their ends, by wide characters."""
    made = []
    for name in (
        "tiny",
        "tiny",
        "日本語の名前",
        "e\u0301le\u0300ve",
        "🦁🐯",
        "a-long-name-of-a-run-" * 2,
    ):
        made.append(listing.create(name))
        made[-1].recipe_path.write_text("")
        FreeWriter(made[-1].events_path).write("started", model="owner/a-model-of-a-long-name")
        made[-1].note(created=time.time() - 3600)
    return made


def on_terminal(columns: int, *arguments: str) -> list[str]:
    """Return what the command line writes on a terminal of that width."""
    pid, descriptor = pty.fork()
    if pid == 0:
        command = child.command("yofo_mlx.cli", *arguments)
        known = {k: v for k, v in child.environment().items() if k not in ("COLUMNS", "LINES")}
        os.execve(command[0], command, known)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = b""
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # the end, on Linux
            break
        if not piece:
            break
        written += piece
    os.waitpid(pid, 0)
    return written.decode().splitlines()


@pytest.mark.parametrize("columns", [100, 80, 60, 40])
def test_the_table_fits_the_terminal_and_its_columns_stand_in_line(columns: int) -> None:
    made = many()
    head, *lines = on_terminal(columns, "runs")[: len(made) + 1]
    assert all(cell_len(line) <= columns for line in [head, *lines])
    assert "status" in head and "age" in head
    place = cell_len(head[: head.index("status")])
    for line in lines:
        assert cell_len(line[: line.index("died")]) == place
    assert len({cell_len(line) for line in lines}) == 1  # the last column is to the right


def test_a_pipe_gets_all_columns_and_names_that_can_be_pasted(yofo: Any) -> None:
    made = many()
    head, *lines = yofo("runs", "--sizes")[1].splitlines()[: len(made) + 1]
    assert {"run", "status", "model", "size", "age"} <= set(head.split())
    for line, run in zip(lines, reversed(made), strict=True):
        assert listing.find(line.split("  ")[0]) == run
    rows = json.loads(yofo("runs", "--sizes", "--json")[1])
    assert [row["bytes"] for row in rows] == [size_of(run.path) for run in reversed(made)]
    assert len({row["name"] for row in rows}) == len(made)
