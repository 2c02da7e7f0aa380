"""Lines from the keyboard: a paste of many lines stays one piece."""

import select
import sys
from contextlib import suppress

from yofo_mlx.system.talk import can_draw

_SOON = 0.05  # seconds: a hand does not type the next line so fast


class Keyboard:
    """The terminal's input, with line editing where Python has it."""

    def __init__(self) -> None:
        self._pastes_whole = False
        with suppress(ImportError):
            import readline

            # GNU readline can, but Python switches it off; libedit (macOS) cannot.
            if "libedit" not in (readline.__doc__ or "") and can_draw(sys.stdout):
                readline.parse_and_bind("set enable-bracketed-paste on")
                self._pastes_whole = True

    def read(self, prompt: str) -> str:
        """Return what was entered, with newlines if it was pasted; EOFError at its end."""
        sys.stdout.flush()
        text = self._line(prompt)
        if self._pastes_whole:
            return text
        lines = [text]
        while _more_waits():
            lines.append(self._line(""))
        if len(lines) > 1:  # the paste's last line may still lie in the line editor
            while line := self._line("... (an empty line ends the paste) "):
                lines.append(line)
        return "\n".join(lines)

    def read_until(self, end: str, prompt: str) -> str:
        """Return all lines up to one that is `end`."""
        lines: list[str] = []
        with suppress(EOFError):
            while True:
                entered = self._line(prompt).split("\n")
                if end in map(str.strip, entered):
                    lines += entered[: [line.strip() for line in entered].index(end)]
                    break
                lines += entered
        return "\n".join(lines)

    def _line(self, prompt: str) -> str:
        return input(prompt)


def _more_waits() -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], _SOON)
    return bool(ready)
