"""The command line: the app where no verb is given, else a verb."""

import sys

from yofo_mlx.cli import opening, shell


def main() -> None:
    """Run the command line and exit."""
    sys.exit(shell.run(opening.open_app if len(sys.argv) == 1 else _run_verb))


def _run_verb() -> object:
    from yofo_mlx.cli.verbs import app  # late: the app's first frame waits for no verb

    return app(standalone_mode=False)
