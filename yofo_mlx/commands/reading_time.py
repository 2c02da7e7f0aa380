"""What is said while a session reads demonstrations: which, how many, and how long it takes."""

import shutil
import sys
from dataclasses import dataclass, field
from typing import Any

from yofo_mlx.prompting.protocol import Params
from yofo_mlx.system.quantities import duration, plural
from yofo_mlx.system.talk import can_draw, say
from yofo_mlx.system.text import clip

_WORTH_TELLING = 2.0  # seconds


@dataclass
class ReadingTime:
    """Listens to a session's notifications about one reading."""

    more: str
    """What a user says to see more demonstrations."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """What the session has said of its choice."""
    _is_told: bool = False
    _is_drawn: bool = False

    def __call__(self, method: str, params: Params) -> None:
        """Say what a notification says."""
        if method == "chosen":
            self.chosen = params
            for words in params["told"]:
                say(f"  {words}")
            if params["bound"] in ("trained", "default") and params["reasons"]["unused"]:
                say(f"  `{self.more} N` or `{self.more} all` shows more")
        elif method == "reading":
            self.chosen, self._is_told = {**self.chosen, **params}, False
        elif method == "progress":
            self._progress(params["done"], params["total"], params.get("seconds_left"))

    def _progress(self, done: int, total: int, seconds_left: float | None) -> None:
        reading = f"reading {total - self.chosen.get('reused_tokens', 0):,} tokens{self._shots}"
        about = "" if seconds_left is None else f", about {duration(seconds_left)}"
        if can_draw(sys.stderr):
            self._draw(f"{reading}{about and f'{about} left'}; Ctrl-C stops")
            if done >= total:
                self.finish()
        elif seconds_left is not None and seconds_left > _WORTH_TELLING and not self._is_told:
            self._is_told = True
            say(f"{reading}{about}")

    def _draw(self, line: str) -> None:
        line = clip(line, shutil.get_terminal_size().columns - 1)
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        self._is_drawn = bool(line)

    def finish(self) -> None:
        """Take away what is drawn."""
        if self._is_drawn:
            self._draw("")

    @property
    def _shots(self) -> str:
        if not self.chosen:
            return ""
        shots = self.chosen["shots"]
        whose = f", {self.chosen['subject']}" if "subject" in self.chosen else ""
        return f" ({plural(shots, 'shot')}{whose})"
