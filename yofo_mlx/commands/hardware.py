"""`yofo doctor --report`: what this machine can do, in one file that can be sent to anybody.

Nothing in it is personal by construction: it holds figures, and the words that are listed here.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yofo_mlx.commands.doctor import attention_checks, exactness_checks
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.planning import yardstick
from yofo_mlx.planning.yardstick import LARGE, SMALL, Left, Measured
from yofo_mlx.recipe.schema import Lora
from yofo_mlx.runs.events import finite
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system import progress
from yofo_mlx.system.environment import device, on_cpu, versions_and_machine
from yofo_mlx.system.files import write_text
from yofo_mlx.system.main_memory import main_memory
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.system.talk import print_path, say

FORMAT = 1
MOST_S = 180.0  # of steps; chosen: who sends a report has other things to do
KINDS = {"model_type": "llama"}


def report(request: RecipeRequest, path: Path) -> ExitCode:
    """Measure this machine and write it down, part by part: what there is stays when it is cut off.

    Ends with 1 if any gradient is not what it should be.
    """
    if request.names or request.overrides:
        raise RecipeError(
            "--report measures the machine, not a recipe", "yofo doctor --report FILE"
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise RecipeError(f"{path} cannot be a report", "name a file in a folder that is there")
    found: dict[str, Any] = {"format": FORMAT, "complete": False}
    try:
        for part in _parts():
            found |= part
            _keep(path, found)
        found["complete"] = True
        _keep(path, found)
        progress.end()
    except KeyboardInterrupt:
        progress.end()
        say("interrupted; what was measured until then is kept")
        print_path(path)
        return ExitCode.INTERRUPTED
    print_path(path)
    say("nothing personal is in it; docs/hardware.md says where to send it")
    sound = all(one["ok"] is not False for one in found["exactness"])
    return ExitCode.OK if sound else ExitCode.FAILED


def _keep(path: Path, found: dict[str, Any]) -> None:
    write_text(path, json.dumps(finite(found), indent=1, allow_nan=False) + "\n")


def _parts() -> Iterator[dict[str, Any]]:
    """Yield what is measured, one after the other, so far as it is."""
    yield {"date": time.strftime("%Y-%m-%d"), "machine": _machine(), **_software()}
    yield {"load": round(os.getloadavg()[0], 1)}  # programs that ran beside it
    limit = memory_limit()
    yield {"limit_gb": round(limit.nbytes / 1e9, 1), "limit_source": limit.source}
    progress.tell("attention: is its memory bounded?")
    yield {"attention": [one.figures for one in attention_checks(KINDS)]}
    progress.tell("gradients against plain autograd, in three precisions")
    checks = exactness_checks(KINDS, Lora(rank=2))
    types = (one.name.rpartition(", ")[2] for one in checks)
    exact = zip(types, checks, strict=True)
    yield {"exactness": [{"type": kind, "ok": one.ok, **one.figures} for kind, one in exact]}
    taken: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    for one in _steps():
        if isinstance(one, Measured):
            taken.append(one.as_dict())
        else:
            left.append(asdict(one))
        yield {"steps": taken, "left": left}


def _steps() -> Iterator[Measured | Left]:
    """Yield steps of a small model, then of a large one in the time that is left."""
    ends = time.perf_counter() + MOST_S
    factor = None
    for shape in (SMALL, LARGE):
        share = 2 if shape is SMALL else 1
        for one in yardstick.steps(shape, (ends - time.perf_counter()) / share, factor):
            words = f"no time or memory for {one.tokens:,} tokens"
            if isinstance(one, Measured):
                factor = one.factor
                words = f"{one.tokens_per_s:,.0f} tokens/s in steps of {one.tokens:,}"
            progress.tell(f"{shape.name}: {words}")
            yield one


def _machine() -> dict[str, Any]:
    system = platform.system()
    release = platform.mac_ver()[0] if system == "Darwin" else ""
    return {
        "chip": device(),
        "computes_on": "CPU" if on_cpu() else "GPU",
        "cores": os.cpu_count(),
        "memory_gb": round(main_memory() / 1e9, 1),
        "system": " ".join(filter(None, (system, release, platform.machine()))),
    }


def _software() -> dict[str, Any]:
    found = versions_and_machine()
    return {"python": found["python"], "versions": found["versions"], "commit": found["git_commit"]}
