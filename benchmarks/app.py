"""How fast the app is in a real terminal: its first frame, each key, and what it costs at rest.

    python benchmarks/app.py [--runs 200] [--keys 40] [TREE]

A terminal of 140x45 with so many run folders. Keys are timed from the key going in to the first
bytes coming out, while a run writes 20 events a second and a CSV of 23 MB is being read. Wall times
are those of this machine as it is; CPU seconds are the app's own.
"""

import argparse
import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

from trees import environment, tree_of, yofo

from tests.streams import FreeWriter
from yofo_mlx.runs import listing

RECIPE = 'model = "tiny"\n[train]\nsteps = 2000\n[[tasks]]\nsource = "tiny:train"\n'
LAST_WORD = b"Commands"
QUIET_S = 0.12  # of the terminal, after which the next key is pressed
CSV_MB = 23
IDLE_S = 10.0


class Terminal:
    """The app in a terminal of its own."""

    def __init__(self, tree: Path, home: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 140, 0, 0))
        variables = environment(tree, home) | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(
            yofo(tree), stdin=slave, stdout=slave, stderr=slave, env=variables, cwd=home,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def wait_for(self, word: bytes) -> None:
        """Read until a word has been drawn."""
        said = b""
        while word not in said:
            said += os.read(self._master, 65536)

    def press(self, keys: str) -> float:
        """Return the seconds until something is drawn."""
        began = time.perf_counter()
        os.write(self._master, keys.encode())
        select.select([self._master], [], [], 10)
        taken = time.perf_counter() - began
        self.drain(QUIET_S)
        return taken

    def drain(self, quiet_s: float, most_s: float = 2.0) -> None:
        """Read until nothing is drawn for a while."""
        end = time.perf_counter() + most_s
        while time.perf_counter() < end and select.select([self._master], [], [], quiet_s)[0]:
            os.read(self._master, 65536)

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


def make_runs(count: int) -> Path:
    """Make finished runs, and return the folder of one that can go on."""
    for number in range(count):
        run = listing.create(f"run-{number}")
        run.recipe_path.write_text(RECIPE)
        run.lock_path.touch()
        writer = FreeWriter(run.events_path)
        writer.write("started", run_id=run.run_id, model="tiny", steps=200, tokens=None)
        for step in range(1, 101):
            writer.write("step", **step_facts(step))
        rows = [{"shots": k, "accuracy": k / 100, "loss": 1.0} for k in (0, 1, 4, 16, 64)]
        writer.write("eval", step=100, loss=1.5, by_shots=rows, best=True)
        if number < count - 1:
            writer.write("finished", step=100, best_step=100, seconds=60.0)
    return run.path


def step_facts(step: int) -> dict[str, object]:
    return {
        "step": step, "loss": 4.0 / step, "lr": 1e-4, "grad_norm": 0.5, "tokens_per_s": 800.0,
        "peak_gb": 1.2, "memory_gb": 1.0, "shots": [4], "share": step / 2000, "seconds_left": 60.0,
    }  # fmt: skip


def stream(run: Path, ended: threading.Event) -> None:
    """Write 20 steps a second, as a living trainer."""
    writer = FreeWriter(run / "events.jsonl")
    with (run / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        step = 101
        while not ended.wait(0.05):
            writer.write("step", **step_facts(step))
            step += 1


def first_frames(tree: Path, home: Path, times: int) -> None:
    walls, cpus = [], []
    for _ in range(times + 1):  # the first one compiles
        began = time.perf_counter()
        terminal = Terminal(tree, home)
        terminal.wait_for(LAST_WORD)
        walls.append(time.perf_counter() - began)
        cpus.append(terminal.cpu_seconds())
        terminal.close()
    least, middle = min(walls[1:]), statistics.median(walls[1:])
    print(f"first frame     {least:.2f} s wall, median {middle:.2f}, {min(cpus[1:]):.2f} s CPU")


def at_rest(tree: Path, home: Path) -> None:
    terminal = Terminal(tree, home)
    terminal.wait_for(LAST_WORD)
    terminal.drain(5.0, 8.0)
    before = terminal.cpu_seconds()
    terminal.drain(IDLE_S, IDLE_S)
    print(f"at rest         {(terminal.cpu_seconds() - before) / IDLE_S:.1%} CPU")
    terminal.close()


def keys(tree: Path, home: Path, living: Path, count: int) -> None:
    data = home / "large.csv"
    row = "a question of some length about a card that is gone,lost_card\n"
    data.write_text("input,output\n" + row * (CSV_MB * 10**6 // len(row)))
    ended = threading.Event()
    writer = threading.Thread(target=stream, args=(living, ended))
    writer.start()
    try:
        terminal = Terminal(tree, home)
        terminal.wait_for(LAST_WORD)
        terminal.drain(1.0)
        terminal.press(f"\x1b[200~{data}\x1b[201~")  # as a file dropped on the window
        every: list[float] = []
        walks = {"lists": ["2", "j", "j", "k", "G", "g"], "places": ["1", "2", "3", "\x1b", "2"]}
        for name, walk in (walks | {"help": ["?", "\x1b"]}).items():
            taken = [terminal.press(walk[n % len(walk)]) for n in range(count)]
            every += taken
            print(f"{name:<16}{told(taken)}")
        print(f"every key       {told(every)}")
        terminal.close()
    finally:
        ended.set()
        writer.join()


def told(taken: list[float]) -> str:
    ordered = sorted(one * 1000 for one in taken)
    ninety = ordered[int(0.9 * (len(ordered) - 1))]
    return f"median {statistics.median(ordered):.0f} ms, p90 {ninety:.0f}, most {ordered[-1]:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = str(Path(__file__).resolve().parents[1])
    parser.add_argument("tree", nargs="?", default=here, metavar="TREE", help="commit or folder")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--keys", type=int, default=40, help="of each kind")
    parser.add_argument("--times", type=int, default=5, help="starts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        home.mkdir()
        os.environ["YOFO_HOME"] = str(home)
        tree = tree_of(arguments.tree, Path(place) / "tree")
        living = make_runs(arguments.runs)
        first_frames(tree, home, arguments.times)
        at_rest(tree, home)
        keys(tree, home, living, arguments.keys)


if __name__ == "__main__":
    main()
