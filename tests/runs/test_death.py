"""Why a run died: its last words, explained; and a console that outlives terminals."""

import fcntl
import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import STEPS, endless, short, start, training_run, wait_for  # noqa: F401
from tests.streams import FreeWriter
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.runs import launch
from yofo_mlx.runs.diagnosis import explain, find_cause, first_words
from yofo_mlx.runs.events import last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import child

METAL = "libc++abi: terminating due to uncaught exception of type std::runtime_error: [METAL] "
MESSAGES = {
    "out of memory": METAL + "Command buffer execution failed: Insufficient Memory "
    "(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    "GPU watchdog": METAL + "Command buffer execution failed: Impacting Interactivity "
    "(0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)",
    "resource limit": "RuntimeError: [metal::malloc] Resource limit (499000) exceeded.",
    "disk full": "OSError: [Errno 28] No space left on device",
    "lost rank": "RuntimeError: [ring] connection to a peer was lost",
    "crash": "Fatal Python error: Segmentation fault",
}
FRAMES = 'Current thread 0x00007f (most recent call first):\n  File "x.py", line 1 in f\n' * 20


def dead_run(console: str, *, events: bool = True) -> Run:
    """Return a run whose trainer is gone after printing this."""
    run = launch.create_run(load_recipe(find_recipe("tiny")), "dead")
    run.lock_path.touch()
    if events:
        FreeWriter(run.events_path).write("step", step=7, share=0.1, loss=1.0)
    run.console_path.write_text(console)
    return run


@pytest.mark.parametrize("name", MESSAGES)
def test_known_messages_are_explained_with_what_to_do(yofo: Any, name: str) -> None:
    run = dead_run(f"{first_words('test')}step 7\n{MESSAGES[name]}\n{FRAMES}")
    death = explain(run)
    assert death is not None and death.cause == name
    assert death.last_words == ("step 7", MESSAGES[name])
    for verb in (("runs",), ("watch", "last")):
        _, out, err = yofo(*verb)
        assert death.message in out + err and death.hint in out + err
        assert MESSAGES[name] in out + err and "Traceback" not in err


def test_a_trainer_that_is_gone_without_a_known_word_was_killed() -> None:
    death = explain(dead_run(first_words("test") + "step 7\n"))
    assert death is not None and death.cause == "killed" and "kill -9" in death.message


def test_the_words_of_an_earlier_trainer_explain_nothing() -> None:
    before = first_words("one") + MESSAGES["out of memory"] + "\n"
    death = explain(dead_run(before + first_words("two") + "step 8\n"))
    assert death is not None and death.cause == "killed"


def test_what_yofo_printed_itself_is_no_cause_whatever_it_quotes() -> None:
    said = (
        "the disk is full: checkpoint 2 waits for 1 s\nwarning: CUDA out of memory: 1 row dropped\n"
    )
    death = explain(dead_run(first_words("test") + said))
    assert death is not None and death.cause == "killed"


def test_a_missing_console_and_a_run_that_never_spoke_are_no_error(yofo: Any) -> None:
    run = dead_run("", events=False)
    run.console_path.unlink()
    assert run.status() == "died"
    code, out, _ = yofo("runs")
    assert code == 0 and "it was killed" in out


def test_control_characters_in_last_words_are_made_visible(yofo: Any) -> None:
    dead_run("\x1b[2J\x1b]0;title\x07 [red]boo[/red]\n")
    _, out, err = yofo("watch", "last")
    assert "\x1b" not in out + err and "\x07" not in out + err
    assert "\\x1b[2J" in err and "[red]boo[/red]" in err


def test_a_run_that_is_alive_or_ended_well_has_no_death() -> None:
    run = dead_run("")
    FreeWriter(run.events_path).write("finished", step=7)
    assert explain(run) is None
    assert find_cause("step 12  loss 3.1") is None


def test_a_run_goes_on_when_its_terminal_is_closed(short: Path) -> None:  # noqa: F811
    master, slave = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = start(
        "train", short, stdin=slave, stdout=slave, stderr=slave, preexec_fn=take_terminal
    )
    os.close(slave)
    run = wait_for(training_run)
    os.close(master)  # the kernel hangs up on the whole session
    assert process.wait(120) is not None
    assert run.status() == "finished", run.console_path.read_text()
    steps = [event["step"] for event in run.events() if event["kind"] == "step"]
    assert steps == list(range(1, STEPS + 1))


@pytest.mark.long
def test_a_run_goes_on_when_the_reader_of_its_progress_leaves(short: Path) -> None:  # noqa: F811
    process = start("train", short, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    run = wait_for(training_run)
    assert process.stderr is not None
    process.stderr.close()
    process.wait(120)
    assert run.status() == "finished", run.console_path.read_text()


def test_an_abort_leaves_its_last_words_on_the_terminal_and_in_the_folder(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib\n"
        "from yofo_mlx.runs.console import recorded\n"
        "from yofo_mlx.runs.folder import Run\n"
        "with recorded(Run(pathlib.Path(sys.argv[1])), detached=False) as terminal:\n"
        "    print('a bar', file=terminal)\n"
        f"    os.write(2, {MESSAGES['out of memory']!r}.encode() + b'\\n')\n"
        "    os.abort()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=child.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGABRT
    assert "a bar" in done.stderr and "Insufficient Memory" in done.stderr
    run = Run(tmp_path)
    wait_for(lambda: "Aborted" in run.console_path.read_text())
    assert "a bar" not in run.console_path.read_text()
    death = explain(run)
    assert death is not None and death.cause == "out of memory"
    assert "Fatal Python error: Aborted" in death.last_words


def test_on_a_mac_caffeinate_watches_the_trainer_and_its_absence_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yofo_mlx.system.awake import keep_awake

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", str(tmp_path))
    keep_awake()
    told = tmp_path / "told"
    program = tmp_path / "caffeinate"
    program.write_text(f'#!/bin/sh\necho "$@" > {told}\n')
    program.chmod(0o755)
    keep_awake()
    assert wait_for(lambda: told.exists() and told.read_text()).split()[-2:] == [
        "-w",
        str(os.getpid()),
    ]
    program.write_text("no program")
    keep_awake()


@pytest.mark.long
def test_standard_streams_that_the_shell_closed_harm_nothing(short: Path) -> None:  # noqa: F811
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        command = child.command("yofo_mlx.cli", "recipes", "list")
        done = subprocess.run(
            f"{shlex.join(command)} {closed}", shell=True, env=child.environment(), timeout=60
        )
        assert done.returncode == 0
    command = child.command("yofo_mlx.cli", "train", str(short), "--detach")
    subprocess.run(f"{shlex.join(command)} <&- >&- 2>&-", shell=True, env=child.environment())
    run = wait_for(training_run)
    wait_for(lambda: not run.is_locked())
    assert run.status() == "finished", run.console_path.read_text()


def test_two_quick_interrupts_save_as_one_does(endless: Path) -> None:  # noqa: F811
    process = start("train", endless, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    run = wait_for(lambda: training_run(3))
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert process.wait(60) in (130, -signal.SIGINT)  # the third one may find it gone already
    last = last_event(run.events_path)
    assert last is not None and (run.status(), last["kind"]) == ("stopped", "stopped")
    assert run.checkpoint_path(last["step"]).is_dir()


def test_the_command_that_goes_on_names_the_run(yofo: Any) -> None:
    run = dead_run("")
    death = explain(run)
    assert death is not None and f"`yofo resume {run.run_id}`" in death.hint
    FreeWriter(run.events_path).write("failed", message="x", hint="then `yofo resume` goes on")
    assert f"`yofo resume {run.run_id}` goes on" in yofo("runs")[1]
