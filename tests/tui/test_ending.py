"""How the app ends: asked to, by a defect, or by a signal."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tui.data.screen import DataScreen
from tui.runs.screen import RunsScreen
from yofo_mlx.system import child

DEFECT = """
import tui.app
from tui.app import YofoApp
def broken(self):
    secret = "a row of the user"
    raise ZeroDivisionError("odd [/red]")
YofoApp.action_help = broken
from yofo_mlx import cli
cli.main()
"""
ALTERNATE, MAIN = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """The app in a terminal of its own."""

    def __init__(self, code: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**child.environment(), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.said = b""

    def wait(self, holds: Callable[[bytes], object], seconds: float = 60) -> None:
        """Read until what was written holds something; the end of it is an empty answer."""
        end = time.monotonic() + seconds
        while not holds(self.said):
            assert time.monotonic() < end, self.said[-2000:]
            try:
                self.said += os.read(self._master, 65536)
            except OSError:  # the other side has ended
                break

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def end(self) -> int:
        self.wait(lambda said: False)
        os.close(self._master)
        return self.process.wait(30)


def test_a_defect_restores_the_terminal_and_says_in_one_line_where_its_report_lies(
    yofo_home: Path,
) -> None:
    terminal = Terminal(DEFECT)
    terminal.wait(lambda said: b"Runs" in said)
    terminal.press("?")
    assert terminal.end() == 1
    screen, _, after = terminal.said.rpartition(MAIN)
    assert ALTERNATE in screen
    (report,) = (yofo_home / "crashes").iterdir()
    lines = after.decode().replace("\r", "").split("\n")
    (said,) = [line for line in lines if "error: " in line]
    assert "ZeroDivisionError: odd [/red]" in said and str(report) in said
    assert b"Traceback" not in terminal.said and b"a row of the user" not in terminal.said
    text = report.read_text()
    assert "in broken" in text and "a row of the user" not in text.replace(
        '"a row of the user"', ""
    )


def test_a_signal_to_end_restores_the_terminal(yofo_home: Path) -> None:
    terminal = Terminal("from yofo_mlx import cli; cli.main()")
    terminal.wait(lambda said: b"Runs" in said)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 0
    assert MAIN in terminal.said


@pytest.mark.asyncio
async def test_quitting_asks_where_something_would_be_lost_and_says_what_goes_on(
    pilots: Any, run_folder: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = ["12 demonstrations [/x]"]
    monkeypatch.setattr(DataScreen, "unsaved", lambda self: lost[0], raising=False)
    folder = run_folder("going").steps(2)
    with folder.trained():
        async with pilots.open() as pilot:
            await until(pilot, lambda: pilot.app.screen.selected is not None)
            await pilot.press("1", "2", "q", "q")  # the second finds the question open
            assert "12 demonstrations [/x]" in shown(pilot)
            assert "1 run goes on" in shown(pilot) and "going" in shown(pilot)
            await pilot.press("n")
            assert isinstance(pilot.app.screen, RunsScreen)
            await pilot.press("q", "y")
            await until(pilot, lambda: not pilot.app.is_running)


@pytest.mark.asyncio
async def test_the_question_before_quitting_is_a_box_in_the_middle(
    pilots: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunsScreen, "unsaved", lambda self: "work", raising=False)
    async with pilots.open(size=(80, 24)) as pilot:
        await pilot.press("q")
        drawn = [line.strip() for line in shown(pilot).splitlines()]
        top = next(at for at, line in enumerate(drawn) if "╭─" in line and line.endswith("─╮"))
        assert 4 < top < 12 and any("Quit?" in line for line in drawn[top:])


@pytest.mark.asyncio
async def test_quitting_says_on_the_terminal_which_runs_go_on(
    pilots: Any, run_folder: Any, until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder("going").steps(2)
    with folder.trained():
        async with pilots.open() as pilot:
            await until(pilot, lambda: pilot.app.screen.selected is not None)
            await pilot.press("q")
    assert folder.run.run_id in capsys.readouterr().err.replace("\n", "")
