"""Play the whole story of the app in a real terminal and keep it: pictures, a recording, a GIF.

    python scripts/walk.py [--to docs/pictures]

Two small runs are trained, which takes minutes. Every main screen is an SVG; `walk.cast` is for
asciinema, with the minutes in which one only waits passing quickly; `walk.gif` shows its pauses.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from pictures import Look, Run, cells_of, runs_of, save_gif, svg_of

from tests.walk import story
from tests.walk.shell import Screen, Shell

ROOT = Path(__file__).resolve().parents[1]
ROWS, COLUMNS = 45, 140
PAUSE_S = 3.0  # of the recording, where there is something to look at
KEY_S = 0.5  # before a key
MOST_S, FASTER = 0.3, 40  # of a wait: so much as it was, and one part of so many of the rest
GAP = 8  # unchanged cells that are drawn rather than left out
FRAME_S = 10.0  # while one only waits
QUIET_S, LONGEST_S = 1.0, 5.0  # until a screen is settled; what goes on changing is not waited for
BEGIN, END = "\x1b[?25l\x1b[2J", "\x1b[0m"

Cells = list[tuple[str, Look]]


class Recording:
    """What a terminal shows, in asciinema's second format: each frame is what has changed in it."""

    def __init__(self) -> None:
        self.pauses: list[list[Run]] = []  # what there was to look at
        self._events: list[tuple[float, str]] = [(0.0, BEGIN)]
        self._at, self._taken = 0.0, time.monotonic()
        self._rows: list[Cells] = [[] for _ in range(ROWS)]

    def take(self, screen: Screen, holds: float = 0.0) -> None:
        """Take down what has changed, and for how long it is to be seen."""
        now = time.monotonic()
        waited, self._taken = now - self._taken, now
        self._at += min(waited, MOST_S) + max(waited - MOST_S, 0) / FASTER
        rows = [cells_of(screen, row) for row in range(ROWS)]
        changes = zip(self._rows, rows, strict=True)
        drawn = "".join(_change(row, *change) for row, change in enumerate(changes))
        self._rows = rows
        if drawn:
            self._events.append((self._at, drawn))
        self._at += holds

    def pause(self, screen: Screen) -> None:
        """Let the screen be looked at."""
        self.take(screen, PAUSE_S)
        self.pauses.append(runs_of(screen))

    def save(self, path: Path) -> None:
        """Write the file."""
        head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "yofo"}
        events = [*self._events, (self._at, END)]
        lines = [json.dumps([round(at, 2), "o", text], ensure_ascii=False) for at, text in events]
        path.write_text("\n".join([json.dumps(head), *lines, ""]), encoding="utf-8")


def _change(row: int, before: Cells, now: Cells) -> str:
    """Return how a terminal is told what is other in a row, from place to place."""
    said, worn, at = "", Look("", ""), -GAP - 1
    for place, cell in enumerate(now):
        if before[place : place + 1] == [cell]:
            continue
        if place - at > GAP:
            said += f"\x1b[{row + 1};{place + 1}H"
            at = place - 1
        for letter, look in now[at + 1 : place + 1]:
            if letter != " " or look.back != worn.back:  # a blank wears what is there
                said += _turn(worn, look)
                worn = look
            said += letter
        at = place
    return said and f"\x1b[0m{said}"


def _turn(worn: Look, look: Look) -> str:
    """Return how a terminal is told to go on in another look."""
    codes = [f"38;2;{_parts(look.front)}"] if look.front != worn.front else []
    codes += [f"48;2;{_parts(look.back)}"] if look.back != worn.back else []
    codes += ["1" if look.is_bold else "22"] if look.is_bold != worn.is_bold else []
    return f"\x1b[{';'.join(codes)}m" if codes else ""


def _parts(colour: str) -> str:
    """Return red, green and blue, as a terminal is told them."""
    return ";".join(map(str, bytes.fromhex(colour)))


class Filmed(Shell):
    """A shell whose screen is taken down around keys, and now and then while one waits."""

    def __init__(self, home: Path, recording: Recording) -> None:
        self._recording: Recording | None = None
        self._next = 0.0
        bin = Path(sys.executable).parent
        super().__init__(home, bin, rows=ROWS, columns=COLUMNS, listener=self._hear)
        self._recording = recording

    def _hear(self, _: str) -> None:
        if self._recording and time.monotonic() > self._next:
            self._take()

    def _take(self, holds: float = 0.0) -> None:
        assert self._recording
        self._recording.take(self.screen, holds)
        self._next = time.monotonic() + FRAME_S

    def press(self, keys: str) -> None:
        """Press keys, once what is there has been seen."""
        self._take(KEY_S)
        super().press(keys)

    def sees(self, words: str, seconds: float = 300) -> str:
        """Wait until the screen shows words, and take it down."""
        shown = super().sees(words, seconds)
        self._take()
        return shown


def record(home: Path, to: Path) -> Recording:
    """Play it all; write a picture of each moment with a name."""
    recording = Recording()
    shell = Filmed(home, recording)

    def look(name: str) -> None:
        end = time.monotonic() + LONGEST_S
        while shell.is_drawing(QUIET_S) and time.monotonic() < end:
            continue
        recording.pause(shell.screen)
        if name:
            (to / f"{name}.svg").write_text(svg_of(shell.screen), encoding="utf-8")
            print(name, flush=True)

    try:
        story.play(shell, look)
    finally:
        shell.close()
    return recording


def check_no_places(folder: Path, home: Path) -> None:
    """Refuse pictures that say where on this machine they were made."""
    for path in folder.iterdir():
        content = path.read_bytes()
        for place in (str(home), str(ROOT), str(Path.home())):
            if len(place) > 1 and place.encode() in content:
                sys.exit(f"{path}: it shows {place}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "pictures", metavar="FOLDER")
    to = parser.parse_args().to
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        recording = record(Path(home), to)
        recording.save(to / "walk.cast")
        check_no_places(to, Path(home))
    save_gif([(runs, PAUSE_S) for runs in recording.pauses], COLUMNS, ROWS, to / "walk.gif")


if __name__ == "__main__":
    main()
