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

import pyte
from pictures import Run, runs_of, save_gif, svg_of

from tests.walk import story
from tests.walk.shell import Screen, Shell

ROOT = Path(__file__).resolve().parents[1]
ROWS, COLUMNS = 45, 140
PAUSE_S = 3.0  # of the recording, where there is something to look at
SLOWEST_S, FASTER = 0.15, 15  # what of a wait is kept: at least so much, then one part of so many
QUIET_S, LONGEST_S = 1.0, 5.0  # until a screen is settled; one that goes on changing is not waited for
PROMPT = "<0> $ "


class Recording:
    """What a terminal printed, in asciinema's second format."""

    def __init__(self) -> None:
        self.events: list[tuple[float, str]] = []
        self.pauses: list[int] = []  # how many events there were
        self._at, self._heard = 0.0, time.monotonic()

    def hear(self, text: str) -> None:
        """Take down what is printed now."""
        now = time.monotonic()
        waited, self._heard = now - self._heard, now
        self._at += min(waited, SLOWEST_S + waited / FASTER)
        self.events.append((self._at, text.replace(PROMPT, "$ ")))

    def pause(self) -> None:
        """Let the screen be looked at."""
        self.pauses.append(len(self.events))
        self._at += PAUSE_S
        self._heard = time.monotonic()

    def save(self, path: Path) -> None:
        """Write the file."""
        head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "yofo"}
        lines = [json.dumps(head)]
        lines += [json.dumps([round(at, 3), "o", text]) for at, text in self.events]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def frames(self) -> list[tuple[list[Run], float]]:
        """Return what was to be looked at, each for its seconds."""
        screen = Screen(COLUMNS, ROWS)
        stream = pyte.Stream(screen)
        found = []
        for number, (_, text) in enumerate(self.events, start=1):
            stream.feed(text)
            if number in self.pauses:
                found.append((runs_of(screen), PAUSE_S))
        return found


def record(home: Path, to: Path) -> Recording:
    """Play it all; write a picture of each moment with a name."""
    recording = Recording()
    bin = Path(sys.executable).parent
    shell = Shell(home, bin, rows=ROWS, columns=COLUMNS, listener=recording.hear)

    def look(name: str) -> None:
        end = time.monotonic() + LONGEST_S
        while shell.is_drawing(QUIET_S) and time.monotonic() < end:
            continue
        recording.pause()
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
    save_gif(recording.frames(), COLUMNS, ROWS, to / "walk.gif")


if __name__ == "__main__":
    main()
