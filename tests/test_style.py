"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.places import ROOT

SOURCES = sorted([*ROOT.glob("yofo_mlx/**/*.py"), *ROOT.glob("tui/**/*.py")])
MAX_FILE = 400
MAX_FUNCTION = 60

# Written in pieces, so that this file does not hold what it forbids.
HOSTS = ["py" + "pi.org", "python" + "hosted", "npm" + "js.", "conda" + ".org", "crates" + ".io"]
PLACES = ["/" + "home/", "/" + "Users/", "/" + "root/", "/" + "work/", "/" + "opt/", "C:" + "\\"]
LOCK_FILES = r"(^|/)([^/]*\.lock|package-lock\.json|pnpm-lock\.yaml|npm-shrinkwrap\.json)$"


def tracked_files() -> list[Path]:
    """Return the files of the repository; the test is skipped where there is no git."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def files_with(words: list[str]) -> list[str]:
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content:  # text
            found += [f"{path.relative_to(ROOT)}: {w}" for w in words if w.encode() in content]
    return found


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert not {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MAX_FILE}


def test_functions_are_short() -> None:
    long = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION:
                    long[f"{path.relative_to(ROOT)}: {node.name}"] = lines
    assert not long


def test_no_file_names_a_package_registry() -> None:
    assert not files_with(HOSTS)


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert not files_with(PLACES)


def test_there_is_no_lock_file() -> None:
    names = [str(path.relative_to(ROOT)) for path in tracked_files()]
    assert not [name for name in names if re.search(LOCK_FILES, name)]


def test_the_docs_name_every_make_target() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    docs = "".join((ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    assert not [target for target in targets if f"make {target}" not in docs]


def test_every_dependency_is_pinned() -> None:
    pinned = {
        re.split(r"[=; ]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["fast-cpu"]]
    names = {re.split(r"[\[<>=;~ ]", line)[0].lower().replace("_", "-") for line in wanted}
    assert not names - pinned
