"""Tokens per second of one rank and of two, each with one BLAS thread, on this machine.

    python benchmarks/ranks.py --rounds 3 --steps 20

Both train `tiny` on episodes of one length, two passes an update: one process takes both, two ranks
take one each. Rounds alternate; the first steps of a run are left out. Give it an idle machine
with at least two cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import measurements

from yofo_mlx.runs.folder import Run

BIN = Path(sys.executable).parent
WARM_UP = 3  # steps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=1024, help="of an episode")
    parser.add_argument("--port", type=int, default=45500)
    measurements.add_option(parser)
    given = parser.parse_args()
    paces: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(given.rounds):
        for ranks in paces:
            pace = measure(ranks, given, given.port + 10 * turn)
            paces[ranks].append(pace)
            print(f"round {turn + 1}, {ranks} ranks: {pace:.0f} tokens/s", flush=True)
    for ranks, found in paces.items():
        about = {"model": "tiny", "tokens": given.tokens}
        measurements.keep(given.table, {"tokens/s": found}, method=f"{ranks} ranks", **about)
    one, two = (statistics.median(paces[ranks]) for ranks in (1, 2))
    print(f"median {one:.0f} and {two:.0f} tokens/s: {two / one:.2f} times")


def measure(ranks: int, given: argparse.Namespace, port: int) -> float:
    """Return the median tokens per second of a run's steps."""
    settings = [
        "tasks.0.source=tiny:topic-01",
        f"train.steps={given.steps}",
        f"train.grad_accumulation_steps={2 // ranks}",
        f"episodes.max_tokens={given.tokens}",
        "episodes.draw=full",
        "evaluation.valid_tasks=0",
    ]
    words = [BIN / "yofo", "train", "tiny", *(w for one in settings for w in ("--set", one))]
    with tempfile.TemporaryDirectory() as home:
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        usual = os.environ | {"YOFO_HOME": home} | threads
        hosts = Path(home) / "hosts.json"
        hosts.write_text(json.dumps([[f"127.0.0.1:{port + rank}"] for rank in range(ranks)]))
        # What mlx.launch sets; itself it takes a core and a half to wait for what they print.
        each = [{"MLX_HOSTFILE": str(hosts), "MLX_RANK": str(rank)} for rank in range(ranks)]
        begun = [
            subprocess.Popen(
                words,
                env=usual | (rank if ranks > 1 else {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for rank in each
        ]
        if {one.wait() for one in begun} != {0}:
            raise SystemExit(f"a run of {ranks} ranks failed")
        (path,) = (Path(home) / "runs").iterdir()
        paces = [one["tokens_per_s"] for one in Run(path).events() if one["kind"] == "step"]
    return statistics.median(paces[WARM_UP:])


if __name__ == "__main__":
    main()
