"""How far a study is, on the terminal: all of it, and what is under way."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from yofo_mlx.study.making import Making, Status
from yofo_mlx.system.quantities import duration
from yofo_mlx.system.talk import can_draw, say
from yofo_mlx.system.text import printable

LINE_EVERY_S = 60.0  # where lines stay
STOPPING = (
    "steps under way are finished and saved; once more to leave them at once",
    "leaving them, and saving what was before them",
)

Show = Callable[[Making], None]


@contextmanager
def study_display(stream: TextIO) -> Iterator[Show]:
    """Yield what shows a study: bars on a terminal, a line now and then on anything else."""
    if not can_draw(stream):
        yield _Lines().show
        return
    from rich.console import Console
    from rich.constrain import Constrain
    from rich.live import Live

    with Live(console=Console(file=stream, highlight=False), transient=True) as live:
        lines = _Lines(say=lambda words: live.console.print(words, markup=False), every_s=None)

        def show(making: Making) -> None:
            lines.show(making)
            # A ^C behind a full line would begin another one.
            live.update(Constrain(_table(making), live.console.width - 3))

        yield show


def _table(making: Making) -> Any:
    """Return a line for the whole, and one for each adapter under way."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    for _ in range(3):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    rows = [("all", making.share, whole(making))]
    rows += [(f"  {name}", status.share, about(status)) for name, status in [*making.now.items()]]
    for name, share, words in rows:
        bar = ProgressBar(total=1.0, completed=share, width=24)
        grid.add_row(Text(printable(name)), bar, Text(printable(words)))
    return grid


def whole(making: Making) -> str:
    """Say how much of a study is done."""
    done, open_ = len(making.took), len(making.waiting) + len(making.now)
    left = making.seconds_left
    more = f", about {duration(left)} for what waits" if left else ""
    return f"{done} of {done + open_} done{more}"


def about(status: Status) -> str:
    """Say what is being done for an adapter."""
    left = f"  {duration(status.seconds_left)} left" if status.seconds_left else ""
    return f"{status.words}{left}"


class _Lines:
    """Tells when an adapter begins and when it is done; every minute how far each is."""

    def __init__(self, say: Callable[[str], None] = say, every_s: float | None = LINE_EVERY_S):
        self._say, self._every_s = say, every_s
        self._begun: set[str] = set()
        self._done = self._failed = self._asked = 0
        self._said = time.monotonic()

    def show(self, making: Making) -> None:
        for words in STOPPING[self._asked : making.crew.asked]:
            self._say(words)
        self._asked = making.crew.asked
        for work, seconds in making.took[self._done :]:
            self._say(f"{work.trial.name}: done in {duration(seconds)}; {whole(making)}")
        for name in [*making.failed][self._failed :]:
            self._say(f"{name}: failed; the others go on")
        self._done, self._failed = len(making.took), len(making.failed)
        self._begun &= {*making.now}
        for name in [name for name in [*making.now] if name not in self._begun]:
            self._begun.add(name)
            self._say(f"{name}: begun")
        if self._every_s and time.monotonic() - self._said >= self._every_s:
            self._said = time.monotonic()
            for name, status in [*making.now.items()]:
                self._say(f"{name}: {about(status)}")
