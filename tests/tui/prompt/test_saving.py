"""Work that is in no file: quitting asks, and a key saves it."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from tests.tui.prompt.test_prompt import THREE, ask, paste
from tui.prompt.save import SaveScreen
from tui.prompt.screen import PromptScreen
from yofo_mlx.prompting import demonstrations

pytestmark = pytest.mark.asyncio


async def test_quitting_with_demonstrations_in_no_file_asks(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        await paste(pilot, THREE)
        await pilot.press("2", "q")
        await until(pilot, lambda: "the demonstrations" in shown(pilot))
        assert "ctrl+s" in shown(pilot) and pilot.app.is_running


async def test_what_would_be_lost_is_named_until_it_is_saved(
    pilots: Any, until: Any, empty_folder: Path
) -> None:
    async with pilots.open("prompt") as pilot:
        screen = pilot.app.screen
        assert screen.unsaved() is None
        await paste(pilot, THREE)
        screen.query_one("#instruction").text = "Name the intent."
        await ask(pilot, "one")
        await until(pilot, lambda: screen.is_idle)
        assert "the demonstrations, the instruction, 1 answer" in screen.unsaved()
        await pilot.press("ctrl+s", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
        assert screen.unsaved() is None
        await pilot.press("escape")
        await paste(pilot, "more\tx\n")
        await until(pilot, lambda: (screen.unsaved() or "").startswith("the demonstrations ("))
    read = demonstrations.read(str(empty_folder / "demonstrations.jsonl"))
    assert read.instruction == "Name the intent."
    assert read.examples == demonstrations.parse(THREE).examples
    assert "## one\n\nthe answer\n" in (empty_folder / "answers.md").read_text()


async def test_demonstrations_without_an_instruction_are_saved_as_plain_rows(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    async with pilots.open("prompt") as pilot:
        await paste(pilot, THREE)
        await until(pilot, lambda: "3 shots" in shown(pilot))
        await pilot.press("ctrl+s")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
    rows = (empty_folder / "demonstrations.jsonl").read_text().splitlines()
    assert json.loads(rows[0]) == {"input": "my card is gone", "output": "lost_card"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("there.jsonl", "is there already"),
        ("nowhere/a.jsonl", "No such file"),
        ("a.txt", "does not end in .jsonl"),
        ("~nobody-here/a.jsonl", "Could not determine"),
    ],
)
async def test_a_file_that_cannot_be_written_is_told_in_the_dialog(
    pilots: Any, until: Any, shown: Any, empty_folder: Path, name: str, told: str
) -> None:
    (empty_folder / "there.jsonl").write_text("mine")
    async with pilots.open("prompt") as pilot:
        await paste(pilot, THREE)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, SaveScreen))
        pilot.app.screen.query_one(Input).value = name
        await pilot.press("enter")
        await until(pilot, lambda: told in shown(pilot))
        assert (empty_folder / "there.jsonl").read_text() == "mine"
        await pilot.press("enter")
        await pilot.pause()
        assert ((empty_folder / "there.jsonl").read_text() == "mine") is (name != "there.jsonl")


async def test_with_nothing_to_save_the_key_says_so(pilots: Any, until: Any, shown: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "nothing to save" in shown(pilot))
