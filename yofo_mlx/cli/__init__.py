"""The command line: the app where no verb is given, else a verb."""

import os
import sys

from yofo_mlx.cli import opening, shell


def main() -> None:
    """Run the command line and exit."""
    # A shell that completes a line gives its words in variables, and no argument.
    is_bare = len(sys.argv) == 1 and "_YOFO_COMPLETE" not in os.environ
    sys.exit(shell.run(opening.open_app if is_bare else _run_verb))


def _run_verb() -> object:
    from yofo_mlx.cli.verbs import app  # late: the app's first frame waits for no verb

    return app(prog_name="yofo", standalone_mode=False)
