"""A user's shell in a real terminal: what is typed into it, and what its screen shows."""

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pyte

PROMPT = r"<(\d+)> \$ $"
NETWORK = re.compile(r"PIP_|SSL_|(HTTPS?|NO)_PROXY$", re.IGNORECASE)  # ways to the registry
ALTERNATE = 1049  # the mode of an app that takes the whole screen
BESIDES_TEXT = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Screen(pyte.Screen):
    """A screen that is empty when an app opens or closes its own."""

    def set_mode(self, *modes: int, **options: Any) -> None:
        super().set_mode(*modes, **options)
        self._clear_if(modes)

    def reset_mode(self, *modes: int, **options: Any) -> None:
        super().reset_mode(*modes, **options)
        self._clear_if(modes)

    def _clear_if(self, modes: tuple[int, ...]) -> None:
        if ALTERNATE in modes:
            self.erase_in_display(2)
            self.cursor_position()


class Heard:
    """What a terminal prints, as the file that pexpect writes it to."""

    def __init__(self, *listeners: Callable[[str], object]) -> None:
        self._listeners = listeners

    def write(self, text: str) -> None:
        for listener in self._listeners:
            listener(text)

    def flush(self) -> None:
        """Nothing is kept back."""


class Shell:
    """A shell that begins in an empty home, where `yofo` is a command and no network is asked.

    Whatever it prints goes to `listener`, too: to what pytest shows of a walk that failed.
    """

    def __init__(
        self,
        home: Path,
        bin: Path,
        *,
        rows: int = 45,
        columns: int = 140,
        listener: Callable[[str], object] | None = None,
    ) -> None:
        environment = {
            "HOME": str(home),
            "PATH": f"{bin}:/usr/local/bin:/usr/bin:/bin",
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "PS1": "<$?> $ ",
            "INPUTRC": "/dev/null",
            "HF_HUB_OFFLINE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **{name: value for name, value in os.environ.items() if NETWORK.match(name)},
        }
        self.home = home
        self.screen = Screen(columns, rows)
        self._child = pexpect.spawn(
            "bash",
            ["--norc", "--noprofile", "--noediting"],
            env=environment,
            cwd=str(home),
            dimensions=(rows, columns),
            encoding="utf-8",
            codec_errors="replace",
        )
        self._child.logfile_read = Heard(
            pyte.Stream(self.screen).feed, listener or sys.stdout.write
        )
        self._child.expect(PROMPT)

    def run(self, line: str, *, code: int = 0, seconds: float = 600) -> str:
        """Type a line and return what it printed; it must end with this exit code."""
        self._child.sendline(line)
        return self.ended(code=code, seconds=seconds)

    def ended(self, *, code: int = 0, seconds: float = 600) -> str:
        """Wait until the shell is back and return what was printed meanwhile."""
        self._child.expect(PROMPT, timeout=seconds)
        text = BESIDES_TEXT.sub("", self._child.before)
        assert "Traceback" not in text
        assert int(self._child.match[1]) == code, text
        return text

    def start(self, line: str) -> None:
        """Type a line, and do not wait for its end."""
        self._child.sendline(line)

    def heard(self, pattern: str, seconds: float = 300) -> str:
        """Wait until a pattern was printed."""
        self._child.expect(pattern, timeout=seconds)
        return str(self._child.match[0])

    def press(self, keys: str) -> None:
        """Press keys, all at once."""
        self._child.send(keys)

    def paste(self, text: str) -> None:
        """Paste text, as a terminal does."""
        self._child.send("\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~")

    def sees(self, words: str, seconds: float = 300) -> str:
        """Wait until the screen, drawn from all that came, shows words."""
        end = time.monotonic() + seconds
        while words not in (shown := self.shown):
            assert time.monotonic() < end, f"{words!r} is not on the screen:\n{shown}"
            self.is_drawing(0.2)
        return shown

    def misses(self, words: str, seconds: float = 300) -> None:
        """Wait until the screen no longer shows words."""
        end = time.monotonic() + seconds
        while words in self.shown:
            assert time.monotonic() < end, f"{words!r} is still on the screen:\n{self.shown}"
            self.is_drawing(0.2)

    @property
    def shown(self) -> str:
        """What the screen shows."""
        return "\n".join(self.screen.display)

    def is_drawing(self, seconds: float) -> bool:
        """Wait for something to be printed, so long at most, and put it on the screen."""
        try:
            self._child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return False
        return True

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size."""
        self._child.setwinsize(rows, columns)
        self.screen.resize(rows, columns)

    def close(self) -> None:
        """Hang up."""
        self._child.close(force=True)


def next_of(text: str) -> str:
    """Return the command that a step told to run next."""
    found = re.findall(r"next: (\S*yofo .+)", text)
    assert found, f"no next step is told:\n{text}"
    return str(found[-1]).strip()
