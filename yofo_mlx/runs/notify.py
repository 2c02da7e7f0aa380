"""What is told at the end of a run or a study: a command of the user's, and a word on the terminal.

The command stands in `$YOFO_HOME/settings.toml`, never in a recipe, which may be from anywhere:

    [notify]
    command = 'ntfy publish mine "$YOFO_RUN $YOFO_STATUS"'   # by sh; it has 30 s
    terminal = true                                          # bell and notification
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from yofo_mlx.errors import YofoError
from yofo_mlx.recipe.file import read_toml
from yofo_mlx.runs.diagnosis import explain
from yofo_mlx.runs.events import FINAL_KINDS, figure, first_event, last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import paths
from yofo_mlx.system.talk import can_draw, say
from yofo_mlx.system.text import printable, reason, shorten

LIMIT_S = 30.0
LEAST_S = 30.0  # shorter runs are waited for anyway
_MAC = """on run argv
display notification (item 2 of argv) with title (item 1 of argv)
end run"""


def at_end(run: Run) -> None:
    """Run the user's command for a run."""
    call(facts(run))


def call(told: dict[str, Any]) -> None:
    """Run the user's command, which gets what became of a run as JSON and in its environment."""
    command = _settings().get("command")
    if command is None:
        return
    if not isinstance(command, str):
        say(f"{_file()}: notify.command is no text")
        return
    named = {f"YOFO_{key.upper()}": str(value) for key, value in told.items()}
    try:
        _call(command, json.dumps(told), os.environ | named)
    except (OSError, ValueError) as error:  # whatever it is, the run is what it is
        say(f"notify.command: {reason(error)}")


def facts(run: Run) -> dict[str, Any]:
    """Return what is told of a run: run, path, status, step, message."""
    last = last_event(run.events_path) or {}
    status = last.get("kind") if last.get("kind") in FINAL_KINDS else "died"
    message = last.get("message") or last.get("reason") or ""
    if status == "died" and (death := explain(run)):
        message = death.message
    return {
        "run": run.run_id,
        "path": str(run.path),
        "status": status,
        "step": int(figure(last, "step") or 0),
        "message": str(message),
    }


def _call(command: str, line: str, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=2,  # stdout is data
        text=True,
        start_new_session=True,
    )
    try:
        with suppress(BrokenPipeError):
            process.communicate(line + "\n", timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        say(f"notify.command was ended: it took longer than {LIMIT_S:g} s")
        return
    if code := process.returncode:
        say(f"notify.command ended with {code}")


def on_terminal(run: Run) -> None:
    """Ring the bell, and notify as terminals and macOS do, whoever waited for a long run."""
    began, ended = figure(first_event(run.events_path), "t"), last_event(run.events_path)
    ring(words(facts(run)), (figure(ended, "t") or 0.0) - (began or 0.0))


def ring(told: str, seconds: float) -> None:
    """Ring the bell and notify with these words, where so long was waited."""
    if not can_draw(sys.stderr) or seconds < LEAST_S or not is_wanted():
        return
    with suppress(OSError, ValueError):
        sys.stderr.write(on_window(told))
        sys.stderr.flush()
    on_mac(told)


def is_wanted() -> bool:
    """Tell whether the end of a run is told by bell and notification."""
    return _settings().get("terminal") is not False


def words(told: dict[str, Any]) -> str:
    """Say on one line what became of a run."""
    return printable(shorten(f"{told['run']} {told['status']}", 200))


def on_window(words: str) -> str:
    """Return what makes a terminal notify and ring."""
    return f"\033]9;{words}\a\a"


def on_mac(words: str) -> None:
    """Notify as macOS does, where this is one."""
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                ["osascript", "-e", _MAC, "yofo", words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=5,
                check=False,
            )


def _file() -> Path:
    return paths.home() / "settings.toml"


def _settings() -> dict[str, Any]:
    if not _file().is_file():
        return {}
    try:
        found = read_toml(_file()).get("notify", {})
    except YofoError as error:
        say(f"{error.message}; {error.hint}")
        return {}
    return found if isinstance(found, dict) else {}
