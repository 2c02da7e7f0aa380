"""What the verbs that make data out of a recipe's start from, and how they refuse."""

from collections.abc import Callable
from pathlib import Path

Call = Callable[..., tuple[int, str, str]]
HEAD = """
model = "tiny"
[template]
style = "plain"
input = "{input} ->"
output = " {output}\\n"
[episodes]
max_tokens = 256
[train]
steps = 1
"""


def write_recipe(folder: Path, tables: str) -> Path:
    """Write a recipe of the built-in model with these tables."""
    path = folder / "mine.toml"
    path.write_text(HEAD + tables)
    return path


def refused(yofo: Call, *words: str | Path) -> tuple[int, str]:
    """Return code and words of a call that must leave the folder as it was and say two lines."""
    before = sorted(Path.cwd().rglob("*"))
    code, out, err = yofo(*words)
    assert code != 0 and not out and len(err.strip().splitlines()) == 2
    assert sorted(Path.cwd().rglob("*")) == before
    return code, err
