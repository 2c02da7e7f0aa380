"""The command line: the app where no verb is given, else a verb."""

import os
import sys
from functools import cache
from typing import Any

from yofo_mlx.cli import opening, shell


def main() -> None:
    """Run the command line and exit."""
    # A shell that completes a line gives its words in variables, and no argument.
    is_bare = len(sys.argv) == 1 and "_YOFO_COMPLETE" not in os.environ
    sys.exit(shell.run(opening.open_app if is_bare else _run_verb))


def _run_verb() -> object:
    return _verbs()(prog_name="yofo", standalone_mode=False)


@cache
def _verbs() -> Any:
    """Return the verbs as a command; late, since the app's first frame waits for none."""
    from typer.main import get_command

    from yofo_mlx.cli.verbs import app

    return get_command(app)
