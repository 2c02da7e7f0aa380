"""How fast the app is in a real terminal: its first frame, each key, and what it costs at rest.

    python benchmarks/app.py [--runs 200] [--keys 40] [TREE]

A terminal of 140x45 with so many run folders. A key is timed from its going in until the screen
shows what it does: the cursor on another row, another place, the help. Meanwhile a run writes 20
events a second and a CSV of 23 MB is being read. Wall times are those of this machine as it is: let
nothing else run. CPU seconds are the app's own. A table is printed, then one line of JSON.
"""

import argparse
import fcntl
import json
import os
import platform
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import measurements
import pyte
from trees import environment, tree_of, yofo

from yofo_mlx.runs import listing

RECIPE = 'model = "tiny"\n[train]\nsteps = 2000\n[[tasks]]\nsource = "tiny:train"\n'
LAST_WORD = b"Commands"
WIDTH, HEIGHT = 140, 45
BETWEEN_S = 0.15  # from what a key did to the next key
LONGEST_S = 10.0  # that a key is waited for
CSV_MB = 23
IDLE_S = 10.0
DATA, RUNS, PROMPT = "\x1bOQ", "\x1bOR", "\x1bOS"  # F2, F3, F4: places, also from a field
WALKS = {  # keys, and the cells whose backgrounds they change, which no event does
    "lists": (["j", "j", "k", "G", "g"], [(3, y) for y in range(HEIGHT)]),
    "places": ([DATA, PROMPT, RUNS], [(x, 0) for x in range(WIDTH)]),
    "help": (["?", "\x1b"], [(WIDTH // 2, y) for y in range(HEIGHT)]),
}
ASKED = {  # what is promised
    "first frame, wall s": 0.6,
    "first frame, CPU s": 0.4,
    "at rest, % CPU": 1.0,
    "a key, median ms": 50,
    "a key, p90 ms": 120,
}


class Terminal:
    """The app in a terminal of its own, whose screen is kept as a person would see it."""

    def __init__(self, tree: Path, home: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        variables = environment(tree, home) | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(
            yofo(tree), stdin=slave, stdout=slave, stderr=slave, env=variables, cwd=home,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self._screen)

    def read(self, wait_s: float) -> bytes:
        """Return what has been drawn, or nothing if nothing is for so long."""
        ready = select.select([self._master], [], [], max(wait_s, 0))[0]
        return os.read(self._master, 1 << 20) if ready else b""

    def wait_for(self, word: bytes) -> None:
        """Read until a word has been drawn."""
        said = b""
        while word not in said:
            said += self.read(LONGEST_S)
        self._stream.feed(said)

    def rest(self, quiet_s: float, most_s: float = 60.0) -> None:
        """Read until nothing is drawn for a while."""
        end = time.perf_counter() + most_s
        while time.perf_counter() < end and (drawn := self.read(quiet_s)):
            self._stream.feed(drawn)

    def press(self, keys: str, cells: list[tuple[int, int]]) -> float:
        """Return the seconds until what keys do is on the screen: other backgrounds of cells."""
        before = self._backgrounds(cells)
        began = time.perf_counter()
        self.type(keys)
        while (left := began + LONGEST_S - time.perf_counter()) > 0:
            drawn = self.read(left)
            came = time.perf_counter()
            self._stream.feed(drawn)
            if self._backgrounds(cells) != before:
                self.watch(BETWEEN_S)
                return came - began
        shown = "\n".join(self._screen.display)
        raise SystemExit(f"{shown}\nthe key {keys!r} did nothing within {LONGEST_S:.0f} s")

    def type(self, keys: str) -> None:
        """Let keys go in, and do not wait."""
        os.write(self._master, keys.encode())

    def watch(self, seconds: float) -> None:
        """Take in what is drawn for a time."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._stream.feed(self.read(left))

    def _backgrounds(self, cells: list[tuple[int, int]]) -> list[str]:
        return [self._screen.buffer[y][x].bg for x, y in cells]

    def cpu_seconds(self) -> float:
        """Return what the app has computed since it began."""
        pid = self.process.pid
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            said = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True)
            minutes, _, seconds = said.stdout.decode().strip().rpartition(":")
            return float(minutes or 0) * 60 + float(seconds)

    def close(self) -> None:
        """End the app."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@contextmanager
def opened(tree: Path, home: Path) -> Iterator[Terminal]:
    """Yield the app once its first frame is there."""
    terminal = Terminal(tree, home)
    try:
        terminal.wait_for(LAST_WORD)
        yield terminal
    finally:
        terminal.close()


def event(kind: str, **fields: object) -> str:
    return json.dumps({"v": 1, "t": time.time(), "kind": kind} | fields) + "\n"


def make_runs(count: int) -> Path:
    """Make finished runs, and return the folder of one that can go on."""
    for number in range(count):
        run = listing.create(f"run-{number}")
        run.recipe_path.write_text(RECIPE)
        run.lock_path.touch()
        rows = [{"shots": k, "accuracy": k / 100, "loss": 1.0} for k in (0, 1, 4, 16, 64)]
        told = [
            event("started", run_id=run.run_id, model="tiny", steps=200, tokens=None),
            *(event("step", **step_facts(step)) for step in range(1, 101)),
            event("eval", step=100, loss=1.5, by_shots=rows, best=True),
        ]
        if number < count - 1:
            told.append(event("finished", step=100, best_step=100, seconds=60.0))
        run.events_path.write_text("".join(told))
    return run.path


def step_facts(step: int) -> dict[str, object]:
    return {
        "step": step, "loss": 4.0 / step, "lr": 1e-4, "grad_norm": 0.5, "tokens_per_s": 800.0,
        "peak_gb": 1.2, "memory_gb": 1.0, "shots": [4], "share": step / 2000, "seconds_left": 60.0,
    }  # fmt: skip


def stream(run: Path, ended: threading.Event) -> None:
    """Write 20 steps a second, as a living trainer."""
    with (run / "lock").open("r+") as lock, (run / "events.jsonl").open("a", buffering=1) as told:
        fcntl.flock(lock, fcntl.LOCK_EX)
        step = 101
        while not ended.wait(0.05):
            told.write(event("step", **step_facts(step)))
            step += 1


def first_frames(tree: Path, home: Path, times: int) -> dict[str, float]:
    walls, cpus = [], []
    for _ in range(times + 1):  # the first one compiles
        began = time.perf_counter()
        with opened(tree, home) as terminal:
            walls.append(time.perf_counter() - began)
            cpus.append(terminal.cpu_seconds())
    return {
        "first frame, wall s": round(statistics.median(walls[1:]), 3),
        "first frame, CPU s": round(statistics.median(cpus[1:]), 3),
    }


def at_rest(tree: Path, home: Path) -> dict[str, float]:
    with opened(tree, home) as terminal:
        terminal.rest(3.0)
        before = terminal.cpu_seconds()
        terminal.rest(IDLE_S, IDLE_S)
        share = (terminal.cpu_seconds() - before) / IDLE_S
    return {"at rest, % CPU": round(100 * share, 2)}


def keys(tree: Path, home: Path, living: Path, count: int) -> dict[str, float]:
    data = home / "large.csv"
    row = "a question of some length about a card that is gone,lost_card\n"
    data.write_text("input,output\n" + row * (CSV_MB * 10**6 // len(row)))
    ended = threading.Event()
    writer = threading.Thread(target=stream, args=(living, ended))
    writer.start()
    found: dict[str, float] = {}
    every: list[float] = []
    try:
        with opened(tree, home) as terminal:
            terminal.rest(3.0, 6.0)
            for name, (walk, cells) in WALKS.items():
                # As a file dropped on the window, which is read on when F3 leads to the runs.
                for typed in (RUNS, f"\x1b[200~{data}\x1b[201~", RUNS):
                    terminal.type(typed)
                    terminal.watch(1.0)
                taken = [terminal.press(walk[n % len(walk)], cells) for n in range(count)]
                every += taken
                found |= told(name, taken)
    finally:
        ended.set()
        writer.join()
    return found | told("a key", every)


def told(name: str, taken: list[float]) -> dict[str, float]:
    ordered = sorted(round(one * 1000, 1) for one in taken)
    ninety = ordered[int(0.9 * (len(ordered) - 1))]
    return {
        f"{name}, median ms": round(statistics.median(ordered), 1),
        f"{name}, p90 ms": ninety,
        f"{name}, most ms": ordered[-1],
    }


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(), "textual": version("textual"),
        "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = str(Path(__file__).resolve().parents[1])
    parser.add_argument("tree", nargs="?", default=here, metavar="TREE", help="commit or folder")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--keys", type=int, default=40, help="of each kind")
    parser.add_argument("--times", type=int, default=5, help="starts")
    measurements.add_option(parser)
    arguments = parser.parse_args()
    found = machine()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        home.mkdir()
        os.environ["YOFO_HOME"] = str(home)
        tree = tree_of(arguments.tree, Path(place) / "tree")
        living = make_runs(arguments.runs)
        figures = first_frames(tree, home, arguments.times) | at_rest(tree, home)
        figures |= keys(tree, home, living, arguments.keys)
    measurements.keep(arguments.table, figures, method=f"app, {arguments.runs} runs")
    for name, figure in figures.items():
        asked = f"at most {ASKED[name]:g}" if name in ASKED else ""
        print(f"{name:<24}{figure:>10g}   {asked}")
    sys.stdout.write(json.dumps(found | {"runs": arguments.runs} | figures) + "\n")


if __name__ == "__main__":
    main()
