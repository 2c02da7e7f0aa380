"""The terminal app, opened where no verb is given."""

import gc
import sys
from importlib import import_module
from importlib.util import find_spec

from yofo_mlx.errors import YofoError
from yofo_mlx.hub.errors import check_environment


def open_app() -> None:
    """Run the app until the user quits."""
    check_environment()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise YofoError("the terminal app needs a terminal", "`yofo --help` lists the verbs")
    gc.disable()  # imports make no garbage; the app collects from its first frame on
    # A wheel holds the app inside this package, the repository beside it.
    inside = find_spec("yofo_mlx.tui")
    import_module("yofo_mlx.tui.app" if inside else "tui.app").main()
