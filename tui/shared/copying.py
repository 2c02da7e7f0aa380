"""What the key `y` copies, to where the terminal pastes from."""

import subprocess
import sys
from contextlib import suppress
from typing import Any

from textual.dom import DOMNode

from .words import one_line


def copy(node: DOMNode, text: str, what: str) -> None:
    """Copy a text and say so: `what` names it, such as "answer"; an empty one is told, too."""
    app: Any = node.app
    if not text:
        app.notify(f"There is no {what} to copy.", severity="warning", markup=False)
        return
    app.copy_to_clipboard(text)  # by OSC 52, so that it works over ssh
    if sys.platform == "darwin":  # its own terminal knows no such sequence
        with suppress(OSError):
            app.run_worker(lambda: _pbcopy(text), thread=True, exit_on_error=False, group="copy")
    app.notify(one_line(text, 60).plain, title=f"Copied the {what}", markup=False)


def _pbcopy(text: str) -> None:
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(["pbcopy"], input=text.encode(), timeout=5, check=False)
