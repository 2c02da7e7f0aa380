"""What is left of the app when it ends by a defect: a report on disk, one line on the terminal."""

import os
import platform
import tempfile
import time
import traceback
from pathlib import Path

from yofo_mlx import __version__
from yofo_mlx.errors import RunError
from yofo_mlx.system import paths
from yofo_mlx.system.text import printable, reason


def ended_by(error: BaseException, seen: str) -> RunError:
    """Write the report of a defect, `seen` being where the app stood; return what to tell."""
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    text = _report(error, seen)
    for folder in (paths.home() / "crashes", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        where = f"the report is {folder / name}"
        break
    else:
        where = "no report could be written"
    said = f"the app ended by a defect, {type(error).__name__}: {reason(error)}; {where}"
    return RunError(said, "please send it in; runs go on, and `yofo` opens the app again")


def _report(error: BaseException, seen: str) -> str:
    """Return the traceback without values of variables: those may be the user's data."""
    from importlib.metadata import version  # late: slow to import

    facts = (
        f"yofo {__version__}, textual {version('textual')}, Python {platform.python_version()}",
        f"{platform.platform()}, TERM={os.environ.get('TERM', '')}, {seen}",
    )
    return printable("\n".join([*facts, "", *traceback.format_exception(error)]), keep="\n")
