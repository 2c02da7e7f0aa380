"""The screen of the first start: steps on keys, this machine, the models it can train."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest
from textual.widgets import Input

from tests.tui.pictures import check_picture
from tui.data.screen import DataScreen
from tui.prompt.screen import PromptScreen
from tui.start.machine import FittingModel, about_machine
from tui.start.screen import FirstStart, model_lines
from yofo_mlx.errors import RunError
from yofo_mlx.system import paths

ROWS = [
    {"name": "tiny", "path": "x", "nbytes": 2_402_286, "context": 1024, "longest": 3_417_971,
     "fits": {"4096": False, "16384": False, "65536": False}},
    {"name": "mlx-community/Mistral-7B-Instruct-v0.3-4bit", "path": None, "nbytes": 4_080_000_000,
     "context": 32768, "longest": 60_817, "fits": {"4096": True, "16384": True, "65536": False}},
    {"name": "a/damaged-one", "path": "y", "nbytes": 3_000_000, "context": None, "longest": None,
     "fits": {}},
]  # fmt: skip


def models() -> list[FittingModel]:
    return [FittingModel.of(row) for row in ROWS]


def test_a_model_is_told_with_the_tokens_that_fit() -> None:
    heading, tiny, mistral, damaged = [line.plain for line in model_lines(models())]
    assert tiny.split() == ["tiny", "2.4", "MB", "1,024", "–", "–", "–", "on", "disk"]
    assert mistral.split()[3:] == ["32,768", "✓", "✓", "–", "to", "download"]
    assert mistral.startswith("Mistral-7B-Instruct-v0.3-4bit ")
    assert mistral.index("✓") == heading.index("4k") + 1
    assert "–" in damaged and "✓" not in damaged
    assert max(map(len, (tiny, mistral, damaged))) <= 76


def test_the_machine_is_told_in_one_line(yofo_home: Path) -> None:
    told = about_machine()
    assert " memory · " in told and told.endswith("free on the disk") and "\n" not in told


async def test_each_step_of_the_first_start_is_on_a_key(
    pilots: Any, shown: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.start.screen.fitting_models", models)
    monkeypatch.setattr("tui.start.screen.about_machine", lambda: "Mac · 192 GB memory")
    async with pilots.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Mistral-7B" in shown(pilot))
        check_picture(pilot.app, "first-start-80x24")
        runs = pilot.app.screen
        started = []

        def refuse(recipe: Path, changes: list[str], name: str) -> Any:
            started.append(recipe)
            raise RunError("the disk is full", "free some")

        runs.starter = refuse
        await pilot.press("d")
        await until(pilot, lambda: "the disk is full" in shown(pilot))
        assert started == [paths.shipped_recipes() / "tiny.toml"]
        await pilot.press("down", "enter")  # add data
        await until(pilot, lambda: isinstance(pilot.app.focused, Input))
        assert pilot.app.current_mode == "data"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, DataScreen))
        await pilot.press("2")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))


async def test_a_demo_that_is_long_in_coming_is_told_and_begun_once(
    pilots: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.start.screen.fitting_models", models)
    async with pilots.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Mistral-7B" in shown(pilot))
        begun, may_end = [], Event()

        def start(recipe: Path, changes: list[str], name: str) -> Any:
            begun.append(recipe)
            may_end.wait(10)
            raise RunError("the disk is full", "free some")

        pilot.app.screen.starter = start
        await pilot.press("d", "d")
        await until(pilot, lambda: "Starting the demo …" in shown(pilot))
        may_end.set()
        await until(pilot, lambda: "The demo is a run like any other" in shown(pilot))
        assert len(begun) == 1


async def test_the_first_run_takes_the_place_of_the_first_start(
    pilots: Any, run_folder: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.start.screen.fitting_models", models)
    async with pilots.open(size=(140, 45)) as pilot:
        await until(pilot, lambda: "Mistral-7B" in shown(pilot))
        first = pilot.app.screen.query_one(FirstStart)
        run_folder("mine").steps(3)
        await until(pilot, lambda: not first.display)
        await until(pilot, lambda: pilot.app.screen.selected is not None)
        assert "mine" in shown(pilot) and "Run the demo" not in shown(pilot)


async def test_models_that_cannot_be_looked_for_are_told(
    pilots: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[FittingModel]:
        raise OSError("no [/way] in")

    monkeypatch.setattr("tui.start.screen.fitting_models", fail)
    async with pilots.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: "not known: no [/way] in" in shown(pilot))
