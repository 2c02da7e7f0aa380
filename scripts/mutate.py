"""Change the code a little, many times, and see whether the tests notice.

    python scripts/mutate.py [MODULE ...]    # every module of TESTS unless told

A seed draws 40 mutants of each module and what belongs to it (`mutations.py`). Each is put into a
copy of the tree and tried in a fork of this process, which has everything heavy imported already,
against those of the module's tests that run the changed lines, the quickest first, up to the first
failure. Outcomes are kept in out/mutants.jsonl, so that a second call goes on; `--again` forgets
the survivors first. Those that tests/survivors.toml gives a reason for count as survivors without
being tried. Exit 1 if less than 90 % are killed, or if one survives without a reason.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
os.environ |= {"HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1"}
os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "TEXTUAL_ANIMATIONS": "none"}

from yofo_mlx.system import blas

blas.preload()

# Imported once, for all forks; no operation of MLX may run before them, for it starts threads.
import hypothesis  # noqa: F401
import mlx_lm  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pydantic  # noqa: F401
import pytest
from mutation_tests import Chosen, Observer
from mutations import Mutation, mutants

for name in [name for name in sys.modules if name.split(".")[0] == "yofo_mlx"]:
    del sys.modules[name]  # every fork imports its own

TESTS = {
    "episodes/sampler": ["episodes", "labels", "passes", "fixed"],
    "episodes/segments": ["segments", "chat_shapes", "cases_markers", "models"],
    "evaluation/measure": [
        "evaluate",
        "choice",
        "as_in_chat",
        "prompts",
        "scores",
        "cases_measure",
    ],
    "training/loop": ["update", "train"],
    "gradients/objective": ["objective", "objectives"],
    "objectives/sums": ["objectives"],
    "selecting/select": ["facility", "select"],
    "planning/planner": ["plan", "validation", "cases_forecast"],
    "prompting/label_tree": ["label_tree", "pool", "batched", "shared_prefix"],
    "prompting/health": ["health"],
    "prompting/selection": ["selection", "choosing", "retrieval"],
    "answering/job": ["job", "asking", "queries"],
    "queueing/book": ["queue"],
    "storage/disk": ["disk"],
    "preview/plan": ["plan", "client"],
}
PARTS = {  # files, or patterns of them, that hold a part of what a module does
    "episodes/sampler": [
        "episodes/sampler",
        "episodes/labels",
        "episodes/symbols",
        "episodes/passes",
        "episodes/fixed",
    ],
    "episodes/segments": ["episodes/segments", "episodes/frames", "episodes/markers"],
    "evaluation/measure": [
        "evaluation/measure",
        "evaluation/prompts",
        "evaluation/scores",
        "prompting/scoring",
    ],
    "objectives/sums": ["objectives/[!_]*"],
    "selecting/select": ["selecting/[!_]*"],
    "planning/planner": ["planning/planner", "planning/step_memory", "planning/evaluation"],
    "prompting/label_tree": [
        "prompting/label_tree",
        "prompting/questions",
        "prompting/pool",
        "prompting/shared_prefix",
        "prompting/batched",
    ],
    "prompting/health": ["prompting/health", "prompting/label_readings", "prompting/left_out"],
    "prompting/selection": ["prompting/selection", "prompting/choosing", "prompting/retrieval"],
    "answering/job": [
        "answering/job",
        "answering/asking",
        "answering/journal",
        "answering/output",
        "answering/queries",
    ],
    "queueing/book": ["queueing/book", "queueing/changes", "queueing/grid"],
    "storage/disk": ["storage/disk", "storage/bin", "storage/undo"],
    "preview/plan": ["preview/plan", "preview/facts", "preview/tokens"],
}
COUNT, ENOUGH, SEED = 40, 0.9, 0
RESULTS = ROOT / "out" / "mutants.jsonl"
REASONS = ROOT / "tests" / "survivors.toml"
COPIED = ["yofo_mlx", "tui", "recipes", "tests", "docs", "benchmarks", "experiments", "scripts"]
PYTEST = ["-q", "-x", "--no-header", "--tb=no", "-n", "0", "-p", "no:cacheprovider"]
PYTEST += ["--timeout", "0", "--hypothesis-profile", "mutants"]


Drawn = tuple[str, Mutation]  # of which file


class Tree:
    """A copy of the tree to run tests in, with one module changed or not."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.pid = 0
        self.deadline = 0.0
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / name)
        for path in [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("*.txt")]:
            shutil.copy(path, folder)
        compiling = [sys.executable, "-m", "compileall", "-q", folder / "yofo_mlx"]
        subprocess.run(compiling, check=True)

    def put(self, module: str, source: str) -> None:
        """Give a module another source; no compiled form of the former one stays."""
        path = self.root / "yofo_mlx" / f"{module}.py"
        path.write_text(source, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def start(self, files: list[str], plugin: Any, seconds: float) -> None:
        """Run test files in a fork, for so long at most."""
        self.deadline = time.monotonic() + seconds
        if pid := os.fork():
            self.pid = pid
            return
        code = 70
        try:
            os.setsid()
            os.chdir(self.root)
            sys.dont_write_bytecode = True
            said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(said, 1)
            os.dup2(said, 2)
            code = int(pytest.main([*PYTEST, *files], plugins=[plugin]))
        finally:
            os._exit(code)

    def ended(self) -> str:
        """Return the outcome of what was started, empty if it is still running."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        late = not pid and time.monotonic() > self.deadline
        if not pid and not late:
            return ""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # and what the tests have left behind
        if late:
            os.waitpid(self.pid, 0)
            return "timeout"
        return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"


def main() -> None:
    """Try all mutants that are not known yet, then tell."""
    arguments = parse()
    modules = arguments.modules or list(TESTS)
    known = read_results(again=arguments.again)
    with tempfile.TemporaryDirectory() as folder:
        trees = [Tree(Path(folder) / str(number)) for number in range(arguments.jobs)]
        for module in modules:
            try_module(module, drawn(module), known, trees)
    good = [tell(module, drawn(module), known) for module in modules]
    sys.exit(not all(good))


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at once")
    parser.add_argument("--again", action="store_true", help="try known survivors again")
    arguments = parser.parse_args()
    if unknown := set(arguments.modules) - TESTS.keys():
        parser.error(f"no tests of {', '.join(sorted(unknown))}; known: {', '.join(TESTS)}")
    return arguments


def drawn(module: str) -> list[Drawn]:
    """Return a module's mutants, drawn from all its files together."""
    found = [(part, one) for part in parts(module) for one in mutants(read(part), COUNT, SEED)]
    return sorted(found, key=lambda one: one[1].lot)[:COUNT]


def parts(module: str) -> list[str]:
    """Return the names of a module's files."""
    root = ROOT / "yofo_mlx"
    files = [
        path for part in PARTS.get(module, [module]) for path in sorted(root.glob(f"{part}.py"))
    ]
    return [str(path.relative_to(root).with_suffix("")) for path in files]


def read(part: str) -> str:
    """Return the source of a file as it is."""
    return (ROOT / "yofo_mlx" / f"{part}.py").read_text("utf-8")


def key(mutant: Drawn) -> str:
    """Return what an outcome is kept under: it holds for this very source."""
    part, mutation = mutant
    return f"{part} {hashlib.sha256(mutation.source.encode()).hexdigest()[:16]}"


def read_results(again: bool) -> dict[str, str]:
    """Return the outcomes known so far."""
    lines = RESULTS.read_text("utf-8").splitlines() if RESULTS.exists() else []
    known = {row["key"]: row["outcome"] for row in map(json.loads, lines)}
    return {k: outcome for k, outcome in known.items() if not (again and outcome == "survived")}


def try_module(module: str, drawn: list[Drawn], known: dict[str, str], trees: list[Tree]) -> None:
    """Try the mutants of a module that are not known yet, as many at once as there are trees."""
    given = reasons()
    for mutant in drawn:
        if place(mutant) in given:
            known[key(mutant)] = "survived"
    waiting = [mutant for mutant in drawn if key(mutant) not in known]
    if not waiting:
        return
    tests = observe(trees[0], module)
    print(f"{module}: {len(waiting)} mutants, {len(tests)} tests", flush=True)
    running: dict[Tree, Drawn] = {}
    while waiting or running:
        for tree in trees:
            if tree not in running and waiting:
                running[tree] = waiting.pop(0)
                start(tree, running[tree], tests)
            elif tree in running and (outcome := tree.ended()):
                mutant = running.pop(tree)
                tree.put(mutant[0], read(mutant[0]))
                known[key(mutant)] = outcome
                keep(mutant, outcome)
        time.sleep(0.02)


def start(tree: Tree, mutant: Drawn, tests: dict[str, Any]) -> None:
    """Start the tests that run what is changed; the quickest first."""
    part, mutation = mutant
    changed = set(range(mutation.lines[0], mutation.lines[1] + 1))
    reached = [
        test
        for test, about in tests.items()
        if changed & {line for name, line in about["lines"] if name == part}
    ]
    chosen = sorted(reached, key=lambda test: tests[test]["seconds"])
    seconds = sum(tests[test]["seconds"] for test in chosen)
    tree.put(part, mutation.source)
    files = sorted({test.split("::")[0] for test in chosen}) or ["tests/test_style.py"]
    tree.start(files, Chosen(chosen), 30 + 4 * seconds)


def observe(tree: Tree, module: str) -> dict[str, Any]:
    """Run a module's tests as it is; return their seconds and the lines of it that each runs."""
    notes = tree.root / "notes.json"
    names = {str(tree.root / "yofo_mlx" / f"{part}.py"): part for part in parts(module)}
    tree.start(test_files(module), Observer(names, notes), 1800)
    while not (outcome := tree.ended()):
        time.sleep(0.1)
    if outcome != "survived":
        raise SystemExit(
            f"{module}: its tests do not pass as it is\n{(tree.root / 'said').read_text()}"
        )
    tests: dict[str, Any] = json.loads(notes.read_text())
    return tests


def test_files(module: str) -> list[str]:
    """Return the test files of a module that are there."""
    found = [path for name in TESTS[module] for path in ROOT.glob(f"tests/**/test_{name}.py")]
    return [str(path.relative_to(ROOT)) for path in found]


def keep(mutant: Drawn, outcome: str) -> None:
    """Add an outcome to the file, and say it."""
    part, mutation = mutant
    RESULTS.parent.mkdir(exist_ok=True)
    row = {"key": key(mutant), "outcome": outcome, "line": mutation.lines[0], "what": mutation.what}
    with RESULTS.open("a", encoding="utf-8") as results:
        results.write(json.dumps(row) + "\n")
    print(f"  {outcome:8} {part}.py:{mutation.lines[0]}: {mutation.what}", flush=True)


def place(mutant: Drawn) -> tuple[str, str, str]:
    """Return what a reason is given for."""
    return mutant[0], mutant[1].statement, mutant[1].what


def reasons() -> dict[tuple[str, str, str], str]:
    """Return why mutants survive, by file, statement and change."""
    files = tomllib.loads(REASONS.read_text("utf-8"))
    return {
        (part, entry["line"], entry["change"]): entry["reason"]
        for part, entries in files.items()
        for entry in entries
    }


def tell(module: str, drawn: list[Drawn], known: dict[str, str]) -> bool:
    """Print a module's outcome and its survivors; tell whether enough are killed or explained."""
    given = {about: reason for about, reason in reasons().items() if about[0] in parts(module)}
    outcomes = [known[key(mutant)] for mutant in drawn]
    killed = sum(outcome != "survived" for outcome in outcomes)
    print(f"{module}: {killed} of {len(drawn)} killed ({dict(Counter(outcomes))})")
    explained = True
    for mutant, outcome in zip(drawn, outcomes, strict=True):
        reason = given.pop(place(mutant), "")
        if outcome == "survived":
            explained = explained and bool(reason)
            part, mutation = mutant
            print(f"  {part}.py:{mutation.lines[0]}: {mutation.statement}")
            print(f"    {mutation.what}\n    {reason or 'NO REASON: kill it or give one'}")
    for part, statement, change in given:
        print(f"  no mutant any more: {part}.py: {statement}: {change}")
    return explained and killed >= ENOUGH * len(drawn)


if __name__ == "__main__":
    main()
