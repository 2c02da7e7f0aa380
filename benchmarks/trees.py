"""Trees of this repository side by side: a commit or a folder, and its own `yofo`."""

import os
import subprocess
import sys
from pathlib import Path

# `python -m yofo_mlx.cli`, but never that of another tree: this interpreter may have one installed.
PROGRAM = """
import sys
from pathlib import Path
import yofo_mlx
tree, found = Path(sys.argv.pop(1)), Path(yofo_mlx.__file__).parents[1]
assert found == tree, f"{found} instead of {tree}"
from yofo_mlx.cli import main
sys.argv[0] = "yofo"
main()
"""


def tree_of(place: str, folder: Path) -> Path:
    """Return where a tree lies: a folder as it is, a commit unpacked into `folder`."""
    if Path(place).is_dir():
        return Path(place).resolve()
    here = Path(__file__).resolve().parents[1]
    commit = f"{place}^{{commit}}"
    done = subprocess.run(["git", "-C", here, "archive", commit], capture_output=True)
    if done.returncode:
        sys.exit(f"{place} is neither a folder nor a commit: {done.stderr.decode().strip()}")
    folder.mkdir(parents=True)
    subprocess.run(["tar", "x", "-C", folder], input=done.stdout, check=True)
    return folder.resolve()


def yofo(tree: Path, *arguments: str) -> list[str]:
    """Return the command line of a tree's `yofo`, with this interpreter and its packages."""
    return [sys.executable, "-P", "-c", PROGRAM, str(tree), *arguments]


def environment(tree: Path, home: Path) -> dict[str, str]:
    """Return what a tree's `yofo` needs: its modules before others, and a home of its own.

    Beside that lies compiled code, as an installation has it, whatever may be written elsewhere.
    """
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compiled = str(home.with_name("compiled"))
    own = {"PYTHONPATH": str(tree), "YOFO_HOME": str(home), "PYTHONPYCACHEPREFIX": compiled}
    return given | own
