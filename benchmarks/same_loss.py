"""Train, stop, resume, measure and ask with two commits: is all of it the same to the bit?

    python benchmarks/same_loss.py OLD NEW     # commits, or folders that hold a tree

Each tree trains its own recipe `tiny` with its own code, plain and chunked, in one go and stopped
within the validation halfway and resumed. Then `yofo eval` measures the run and `yofo chat` answers
from it. Compared are every step's loss, the event stream (of a resumed run also what was taken
back), the files of the best adapter and of the last checkpoint, scores and answers; not what
LEFT_OUT names. The exit code is 1 if anything differs, and the first difference is shown.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from trees import environment, tree_of, yofo

# Of the clock and what depends on it, of memory as measured, of the process, of names and versions.
LEFT_OUT = frozenset(
    "t date seconds seconds_left tokens_per_s targets_per_s peak_gb memory_gb footprint_gb process"
    " run_id versions".split()
)
# Of the checkpoint: it holds the clock, and the hashes of the files that are compared themselves.
FILES_LEFT_OUT = frozenset({"trainer_state.json"})

METHODS = {
    "plain": ["memory.method=plain"],
    "chunked": ["memory.method=chunked", "memory.chunk=96", "memory.stash=2"],
}
COURSES = ("fresh", "resumed")
MEASURE = ["--set", "evaluation.queries=3", "--set", "evaluation.shots=[0,4,16]"]
MEASURE += ["--task", "new-topic", "--task", "new-sums", "--task", "new-spot"]
ASK = ["--demos", "tiny:new-topic-01", "--shots", "16", "--json"]
ASK += ["--query", "swan stork", "--query", "market profit", "--query", "lion"]
LABELS = ["--label", "Nikos", "--label", "Pablo", "--label", "Miriam"]
PATIENCE_S = 600
STOPPED = 130  # the exit code of a run that was asked to stop
MISSING = "nothing"

Outcome = dict[str, Any]


class Program:
    """A tree's `yofo`, in a home of its own."""

    def __init__(self, tree: Path, home: Path) -> None:
        self._tree = tree
        self._environment = environment(tree, home)
        self._home = home
        home.mkdir(parents=True)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start it with these arguments."""
        return subprocess.Popen(
            yofo(self._tree, *arguments),
            env=self._environment,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """Return what it prints."""
        return self.ended(self.start(*arguments))

    def ended(self, process: "subprocess.Popen[str]", code: int = 0) -> str:
        """Wait for the end and return what was printed; another exit code ends all."""
        out, err = process.communicate(timeout=PATIENCE_S)
        if process.returncode != code:
            raise SystemExit(f"{self._tree}: exit {process.returncode}\n{err[-3000:]}")
        return out

    def run_folder(self) -> Path | None:
        """Return the folder of its one run, once there is one."""
        return next(self._home.glob("runs/[!.]*"), None)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", help="commit or folder")
    parser.add_argument("new", help="commit or folder")
    parser.add_argument("--steps", type=int, default=14, help="of each run; an even number")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="keys")
    parser.add_argument("--ignore-event-fields", default="", metavar="A,B")
    parser.add_argument("--ignore-event-kinds", default="", metavar="A,B")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = compared(arguments, Path(place))
    sys.exit(show(found, arguments))


def compared(arguments: argparse.Namespace, folder: Path) -> list[tuple[str, Outcome, Outcome]]:
    """Return what both trees make of each way to train, the two side by side on two cores."""
    trees = [
        tree_of(arguments.old, folder / "old-tree"),
        tree_of(arguments.new, folder / "new-tree"),
    ]
    found = []
    for method, course in product(METHODS, COURSES):
        began = time.monotonic()
        programs = [
            Program(tree, folder / f"{which}-{method}-{course}")
            for which, tree in zip(("old", "new"), trees, strict=True)
        ]
        make = partial(outcome, arguments=arguments, method=method, course=course)
        with ThreadPoolExecutor(len(programs)) as pool:
            old, new = pool.map(make, programs)
        found.append((f"{method} {course}", old, new))
        say(f"{method} {course}: {time.monotonic() - began:.0f} s")
    return found


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def outcome(program: Program, arguments: argparse.Namespace, method: str, course: str) -> Outcome:
    """Return what a tree makes of the recipe, column by column of the table."""
    keys = [*settings(arguments.steps), *METHODS[method], *arguments.keys]
    run = train(program, keys, arguments.steps // 2 if course == "resumed" else None)
    events = [*read_events(run / "events.jsonl")]
    losses = {f"step {event['step']}": event["loss"] for event in events if event["kind"] == "step"}
    fields = LEFT_OUT | {*arguments.ignore_event_fields.split(",")}
    kinds = arguments.ignore_event_kinds.split(",")
    streams = {
        path.name: [stripped(e, fields) for e in read_events(path) if e["kind"] not in kinds]
        for path in (run / "events.jsonl", run / "past.jsonl")
    }
    newest = max((run / "checkpoints").glob("[!.]*"))
    program.run("eval", "last", *MEASURE)
    scores = {
        path.name: stripped(json.loads(path.read_text("utf-8")))
        for path in sorted(run.glob("evaluations/*.json"))
    }
    lines = [program.run("chat", "last", *ASK, *more) for more in ([], LABELS)]
    answers = [stripped(json.loads(line)) for out in lines for line in out.splitlines()]
    assert losses and scores and answers, "there is nothing to compare"
    return {
        "losses": losses,
        "events": streams,
        "adapter": files(run / "adapter"),
        "checkpoint": {newest.name: files(newest)},
        "scores": scores,
        "answers": answers,
    }


def settings(steps: int) -> list[str]:
    """Return the recipe's keys: a validation halfway, where no checkpoint would be written."""
    return [
        f"train.steps={steps}",
        f"train.eval_every={steps // 2}",
        f"train.checkpoint_every={max(1, steps // 2 - 2)}",
        "evaluation.valid_tasks=3",
        "memory.limit_gb=2",  # what the plan tells is not of the machine then
    ]


def train(program: Program, keys: list[str], halfway: int | None) -> Path:
    """Train to the end, by way of a stop within the validation after step `halfway` if given."""
    process = program.start("train", "tiny", *(word for key in keys for word in ("--set", key)))
    if halfway is not None:
        stop_at(program, process, halfway)
        process = program.start("resume", "last")
    program.ended(process)
    run = program.run_folder()
    assert run is not None
    return run


def stop_at(program: Program, process: "subprocess.Popen[str]", step: int) -> None:
    """Ask a run to stop as soon as it validates this step, and see that it stopped there."""
    while not ((run := program.run_folder()) and is_validating(run, step)):
        if process.poll() is not None:
            program.ended(process)
            raise SystemExit(f"the run was over before step {step} was validated")
        time.sleep(0.02)
    (run / "stop").touch()
    program.ended(process, STOPPED)
    last = [*read_events(run / "events.jsonl")][-1]
    if (last["kind"], last["step"]) != ("stopped", step):
        raise SystemExit(f"it was to be stopped after step {step}, and it told {last}")


def is_validating(run: Path, step: int) -> bool:
    told = read_events(run / "events.jsonl", progress=True)
    return any(event["kind"] == "progress" and event["step"] == step for event in told)


def read_events(path: Path, progress: bool = False) -> Iterator[dict[str, Any]]:
    """Yield a stream's events; how often progress is told, and within what, the clock decides."""
    if path.exists():
        for line in path.read_text("utf-8").splitlines(keepends=True):
            if line.endswith("\n") and (progress or '"kind": "progress"' not in line):
                yield json.loads(line)


def stripped(value: Any, fields: frozenset[str] = LEFT_OUT) -> Any:
    """Return a value of JSON without the fields that are left out, however deep."""
    if isinstance(value, dict):
        return {key: stripped(one, fields) for key, one in value.items() if key not in fields}
    return [stripped(one, fields) for one in value] if isinstance(value, list) else value


def files(folder: Path) -> dict[str, Any]:
    """Return a folder's files: weights array by array as hashes, all else as its text."""
    return {
        path.name: arrays(path) if path.suffix == ".safetensors" else path.read_text("utf-8")
        for path in sorted(folder.glob("[!.]*"))
        if path.name not in FILES_LEFT_OUT
    }


def arrays(path: Path) -> dict[str, str]:
    """Return the hash of each array of a safetensors file, and that of the whole file."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    hashes = {}
    for name, entry in header.items():
        first, end = (start + offset for offset in entry["data_offsets"])
        hashes[name] = f"{entry['dtype']} {entry['shape']} {sha256(data[first:end])}"
    return hashes | {"the whole file": sha256(data)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def difference(old: Any, new: Any, where: str = "") -> str:
    """Return the first place where two values differ and what is there, empty if they do not."""
    if isinstance(old, list) and isinstance(new, list):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = ((key, old.get(key, MISSING), new.get(key, MISSING)) for key in old | new)
        return next(filter(None, (difference(a, b, f"{where} {key}") for key, a, b in pairs)), "")
    return "" if repr(old) == repr(new) else f"{where.strip()}: {old!r}, then {new!r}"


def show(found: list[tuple[str, Outcome, Outcome]], arguments: argparse.Namespace) -> int:
    """Print the table and the first difference of each of its cells; return the exit code."""
    columns = list(found[0][1])
    print(f"{arguments.old} and {arguments.new}, {arguments.steps} steps of the recipe tiny")
    print(f"{'':16}" + "".join(f"{column:>12}" for column in columns))
    differences = []
    for name, old, new in found:
        cells = {column: difference(old[column], new[column]) for column in columns}
        words = ["DIFFERS" if cell else "same" for cell in cells.values()]
        print(f"{name:16}" + "".join(f"{word:>12}" for word in words))
        differences += [f"{name}, {column}: {cell}" for column, cell in cells.items() if cell]
    for line in differences:
        print(line)
    return bool(differences)


if __name__ == "__main__":
    main()
