"""How the verbs end that make or choose training rows: with a recipe that trains on them."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yofo_mlx.errors import ExitCode
from yofo_mlx.rehearsal import tables
from yofo_mlx.system.talk import print_path, quoted, say, say_next


@contextmanager
def kept(folder: Path, done: str) -> Iterator[None]:
    """Say, where it is interrupted, that what was `done` so far is not lost."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"\nwhat was {done} is kept in {folder}")
        say_next(shlex.join(sys.argv[1:]))
        raise


def end(
    folder: Path, about: dict[str, Any], show: Callable[[], None], *, as_json: bool
) -> ExitCode:
    """Print what is said of the rows, or show them, where their recipe is, and what trains it."""
    if as_json:
        print(json.dumps(about))
        return ExitCode.OK
    show()
    print_path(folder / tables.RECIPE)
    say_next(f"train {quoted(folder / tables.RECIPE)}")
    return ExitCode.OK
