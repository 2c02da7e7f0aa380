"""A file opened in the user's own editor, at a line."""

import os
import shlex
import subprocess
from pathlib import Path

from textual.app import App, SuspendNotSupported

GOTO = ("code", "codium", "cursor", "subl", "zed")  # that take path:line


def edit(app: App[object], path: Path, line: int = 0) -> str:
    """Wait until the user has edited a file; return why that was not possible, or nothing."""
    words = command(path, line)
    try:
        with app.suspend():
            done = subprocess.run(words, check=False)
    except SuspendNotSupported:
        return "this terminal cannot be lent to an editor"
    except OSError as error:
        return f"{words[0]}: {error.strerror or error}; set EDITOR to another"
    return f"{words[0]} ended with exit status {done.returncode}" if done.returncode else ""


def command(path: Path, line: int = 0) -> list[str]:
    """Return the command line that opens a file at a line, in what VISUAL or EDITOR names."""
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    name = Path(words[0]).name
    if name in GOTO:
        wait = [] if name == "zed" else ["--wait"]
        goto = ["--goto"] if name in ("code", "codium", "cursor") else []
        return [*words, *wait, *goto, f"{path}:{line}" if line else str(path)]
    return [*words, *([f"+{line}"] if line else []), str(path)]
