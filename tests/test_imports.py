"""What an import may pull in, seen in a process of its own: contracts do not see late imports."""

import re
import subprocess
import sys

import pytest

from tests.places import ROOT

HEAVY = {"mlx", "mlx_lm", "transformers", "pyarrow", "matplotlib", "textual", "rich"}
LIGHT = [
    "yofo_mlx",
    "yofo_mlx.system.blas",
    "yofo_mlx.cli",
    "yofo_mlx.errors",
    "yofo_mlx.evaluation.archive",
    "yofo_mlx.runs.events",
    "yofo_mlx.runs.launch",
    "yofo_mlx.system.paths",
    "yofo_mlx.prompting.client",
    "yofo_mlx.prompting.demonstrations",
    "yofo_mlx.prompting.held",
    "yofo_mlx.prompting.protocol",
    "yofo_mlx.recipe.schema",
    "yofo_mlx.recipe.file",
    "yofo_mlx.runs.folder",
    "yofo_mlx.tasks",
    "yofo_mlx.system.text",
]


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages in `sys.modules` after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("module", LIGHT)
def test_light_module_stays_light(module: str) -> None:
    assert not loaded_by(f"import {module}") & HEAVY


def test_the_app_names_its_own_modules_relatively_so_that_it_may_lie_elsewhere() -> None:
    for path in (ROOT / "tui").rglob("*.py"):
        assert not re.findall(r"(?m)^\s*(?:from|import) tui\b.*", path.read_text("utf-8")), path


def test_terminal_app_does_not_load_mlx() -> None:
    assert not loaded_by("import tui.app") & {"mlx", "mlx_lm", "transformers", "pyarrow"}


def test_the_first_frame_of_the_app_waits_for_no_model_of_recipes() -> None:
    script = """
import asyncio, sys
from tui.app import YofoApp
async def first_frame():
    async with YofoApp().run_test() as pilot:
        assert pilot.app.screen.query("KeyLine")
        assert not {"yofo_mlx.recipe.schema", "yofo_mlx.tasks.registry"} & set(sys.modules)
asyncio.run(first_frame())
"""
    late = {"mlx", "numpy", "tomlkit", "huggingface_hub", "pyarrow", "pydantic", "typer"}
    assert not loaded_by(script) & late


def test_the_app_opens_without_the_verbs_of_the_command_line() -> None:
    script = """
import sys
import yofo_mlx.cli, tui.app
late = {"yofo_mlx.cli.verbs", "yofo_mlx.runs.info", "yofo_mlx.tasks", "importlib.metadata",
        "tui.runs.overview", "tui.runs.console", "tui.runs.kept", "tui.runs.measured",
        "yofo_mlx.runs.kinds"}
assert not late & set(sys.modules), late & set(sys.modules)
assert len([name for name in sys.modules if name.startswith(("tui.", "yofo_mlx."))]) < 75
"""
    assert not loaded_by(script) & {"typer", "click", "pydantic"}


def loaded_by_yofo(arguments: list[str], code: int) -> set[str]:
    return loaded_by(f"""
import sys
sys.argv = ["yofo", *{arguments!r}]
from yofo_mlx.cli import main
try:
    main()
except SystemExit as end:
    assert (end.code or 0) == {code}
""")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_answers_without_anything_heavy(arguments: list[str]) -> None:
    assert not loaded_by_yofo(arguments, 0) & HEAVY


def test_a_resolved_recipe_is_printed_without_mlx() -> None:
    assert not loaded_by_yofo(["train", "tiny", "--dry-run"], 0) & HEAVY


MISTAKES = [
    ["trian", "tiny"],
    ["train", "tinny"],
    ["train", "tiny", "--set", "train.stepss=1"],
    ["train", "tiny", "--detach", "--set", "train.stepss=1"],
    ["train", "tiny", "--set", "init_adapter=nobody"],
    ["train", "tiny", "--steps", "1"],
    ["resume", "nothing", "--set", "train.steps=1"],
    ["plan", "--set", "a=b", "tiny"],
    ["show", "tinny"],
    ["doctor", "tinny"],
    ["eval", "nothing"],
    ["chat", "nothing"],
    ["study"],
    ["study", "tinny"],
    ["study", "tiny", "--arms", "nothing"],
    ["watch", "nothing"],
    ["stop", "nothing"],
    ["data", "preview", "nothing.csv"],
    ["recipes", "check", "tinny"],
]


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_answered_without_anything_heavy(arguments: list[str]) -> None:
    code = 3 if arguments[0] == "data" else 2
    assert not loaded_by_yofo(arguments, code) & HEAVY
