"""Child processes that run a module of this very package, from whatever folder."""

import os
import signal
import sys
from pathlib import Path


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module of yofo."""
    # -P: a file in the current folder must not stand in for a module of the same name.
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return the environment, with this package importable wherever we are."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, inherited]))}


def ending(code: int) -> str:
    """Say how a process ended, by its return code."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
