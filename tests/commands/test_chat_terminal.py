"""`yofo chat` in a terminal and with a session of its own: pastes, Ctrl-C, a death."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.prompting.test_client import STAND_IN
from yofo_mlx.commands.chatroom import Chatroom, interrupt_cancels
from yofo_mlx.commands.keyboard import Keyboard
from yofo_mlx.errors import Cancelled
from yofo_mlx.models.base import model_path
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.prompting.demonstrations import parse
from yofo_mlx.prompting.held import Model
from yofo_mlx.tasks.task import Example


def test_a_terminal_that_moves_no_cursor_is_sent_no_escape_sequences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readline = pytest.importorskip("readline")
    bound: list[str] = []
    monkeypatch.setattr(readline, "parse_and_bind", bound.append)
    monkeypatch.setattr(readline, "__doc__", "GNU readline")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for term, there in (("xterm", ["set enable-bracketed-paste on"]), ("dumb", [])):
        bound.clear()
        monkeypatch.setenv("TERM", term)
        Keyboard()
        assert bound == there


def test_ctrl_c_cancels_the_call_and_is_itself_again_afterwards() -> None:
    with SessionClient([sys.executable, "-c", STAND_IN]) as client:
        client.call("echo")
        presses = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(Cancelled), interrupt_cancels(client):
            presses.start()
            client.call("wait")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.long
def test_after_a_death_the_same_demonstrations_are_shown_and_ones_own_are_not_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with SessionClient() as client:
        room = Chatroom(client, Model(model="tiny"), examples=[], wanted=3)
        room.open()
        room.show([Example("mine", "first")])
        room.show([*room.examples, *(Example(f"row {n}", f"label {n % 9}") for n in range(90))])
        before = list(room.shown)
        assert before[0] == Example("mine", "first") and len(before) == 3
        os.kill(client.pid or 0, signal.SIGKILL)
        while client.ended is None:
            time.sleep(0.01)
        room.take_paste(parse("late -> last"))
        assert "warning: the session process ended: killed by SIGKILL" in capsys.readouterr().err
        assert room.shown == [*before, Example("late", "last")]


def _on_its_terminal() -> None:
    os.close(os.open(os.ttyname(0), os.O_RDWR))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs the tests may have it ignored


class Terminal:
    """`yofo chat` on a terminal of its own."""

    def __init__(self, home: Path, **options: Any) -> None:
        options = {"model": "tiny", **options}
        script = f"from yofo_mlx.commands.chat import chat; chat(**{options!r})"
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "YOFO_HOME": str(home)},
            start_new_session=True,
            preexec_fn=_on_its_terminal,
        )
        os.close(slave)
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self, words: str) -> None:
        """Press Ctrl-C until these words come: just before the wait for a key it goes unnoticed."""
        self.type("\x03")
        while words not in self._seen:
            if select.select([self.master], [], [], 5.0)[0]:
                self._seen += os.read(self.master, 65536).decode("utf-8", "replace")
            else:
                self.type("\x03")
        self.wait_for(words)

    def wait_for(self, words: str) -> str:
        """Return what is on the screen once these words are."""
        end = time.monotonic() + 120
        while words not in self._seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {words!r} in {self._seen!r}"
            self._seen += os.read(self.master, 65536).decode("utf-8", "replace")
        before, _, self._seen = self._seen.partition(words)
        return before + words


def test_on_a_terminal_a_paste_is_not_cut_and_ctrl_c_stops_the_answer(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.wait_for("[0 shots] > ")
    terminal.type("\x1b[200~horse cow -> Anna\nplum pear -> Tom\ngoat pig -> Anna\x1b[201~\r")
    terminal.wait_for("3 demonstrations in the context")
    terminal.wait_for("[3 shots] > ")
    terminal.type("/paste\rlime lemon -> Tom\rdog cat -> Anna\r/end\r")
    terminal.wait_for("5 demonstrations in the context")
    terminal.wait_for("[5 shots] > ")
    terminal.type("cow\r")
    terminal.wait_for("tokens, ")
    terminal.wait_for("[5 shots] > ")
    terminal.interrupt("leaves")
    terminal.wait_for("[5 shots] > ")  # what is typed before the prompt stands may be dropped
    terminal.type("\x04")
    assert terminal.process.wait(60) == 0
    os.close(terminal.master)


@pytest.mark.long
def test_ctrl_c_while_a_long_file_is_read_leads_to_the_prompt_with_what_is_read(
    tmp_path: Path,
) -> None:
    model = tmp_path / "tiny"
    shutil.copytree(model_path("tiny"), model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 100_000}))
    rows = "\n".join(f"horse cow {n} -> {('Anna', 'Tom')[n % 2]}" for n in range(1500))
    (tmp_path / "d.txt").write_text(rows)
    options = {"demos": [str(tmp_path / "d.txt")], "shots": "all"}
    terminal = Terminal(tmp_path, **options | {"model": str(model)})
    terminal.wait_for(" tokens (1,500 shots), about ")
    terminal.type("\x03")
    assert " of 1,500: `--shots N` reads on" in terminal.wait_for("reads on")
    terminal.wait_for(" of 1,500 shots] > ")
    terminal.type("\x04")
    assert terminal.process.wait(60) == 0
    os.close(terminal.master)
