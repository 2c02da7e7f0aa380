"""Data sets: recipes and paths, their examples and problems."""

from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer, hub_fixture  # noqa: F401
from huggingface_hub import constants
from textual.widgets import Input

from tui import datasets
from tui.widgets.data_table import DataTableOfSets
from yofo_mlx.recipe import TaskSource
from yofo_mlx.recipe_file import shipped_recipes

pytestmark = pytest.mark.asyncio

RECIPE = """
model = "tiny"
[train]
steps = 5
[[tasks]]
name = "intents"
source = "intents.csv"
family = "classification"
[[tasks]]
name = "far away"
source = "somebody/something"
role = "held_out"
"""
ROWS = "text,label\ncard gone,lost\nnew PIN,pin\nbad row\ncard stolen,lost\nno PIN,pin\n"


@pytest.fixture
def recipe(empty_folder: Path) -> Path:
    (empty_folder / "intents.csv").write_text(ROWS, encoding="utf-8")
    path = empty_folder / "mine.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def rows(pilot: Any) -> list[list[str]]:
    table = pilot.app.screen.query_one(DataTableOfSets)
    return [[str(cell) for cell in table.get_row_at(i)] for i in range(table.row_count)]


async def test_a_recipes_data_sets_are_listed_with_counts_and_problems(
    pilots: Any, until: Any, shown: Any, recipe: Path
) -> None:
    async with pilots.open("data", size=(120, 40)) as pilot:
        await until(pilot, lambda: "intents.csv:4" in shown(pilot))
        assert rows(pilot)[0] == ["✗", "intents", "classification", "train", "4", "–", "–"]
        screen = shown(pilot)
        assert "columns: text → label" in screen
        assert "lost 2, pin 2" in screen
        assert "card gone" in screen


async def test_a_hub_source_is_only_loaded_when_asked(
    pilots: Any, until: Any, shown: Any, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    read = datasets.read

    def counted(source: TaskSource) -> list[datasets.DataSet]:
        asked.append(Path(source.source).name)
        return [] if source.source == "somebody/something" else read(source)

    monkeypatch.setattr("tui.screens.data.read", counted)
    async with pilots.open("data", size=(120, 40)) as pilot:
        await until(pilot, lambda: len(rows(pilot)) == 2 and rows(pilot)[0][0] == "✗")
        await pilot.press("tab", "down")
        await until(pilot, lambda: "Press l to load" in shown(pilot))
        assert asked == ["intents.csv"]
        await pilot.press("l")
        await until(pilot, lambda: asked == ["intents.csv", "something"])


async def test_any_file_can_be_opened(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    path = empty_folder / "pairs.jsonl"
    path.write_text('{"input": "2+2", "output": "4"}\n{"input": "3+3"}\n', encoding="utf-8")
    async with pilots.open("data", size=(80, 24)) as pilot:
        await pilot.press("o")
        pilot.app.screen.query_one(Input).value = str(path)
        await pilot.press("enter")
        await until(pilot, lambda: "pairs.jsonl:2" in shown(pilot))
        assert pilot.app.screen.query_one(Input).display is False


async def test_a_path_that_is_not_there_says_so(pilots: Any, until: Any, shown: Any) -> None:
    async with pilots.open("data") as pilot:
        await pilot.press("o")
        pilot.app.screen.query_one(Input).value = "nowhere.csv"
        await pilot.press("enter")
        await until(pilot, lambda: "no such file or folder" in shown(pilot))


async def test_a_broken_recipe_says_what_is_wrong_with_it(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    (empty_folder / "broken.toml").write_text('modell = "tiny"\n[[tasks]]\nsource = "x"\n')
    async with pilots.open("data") as pilot:
        await until(pilot, lambda: "cannot be read" in shown(pilot))
        await until(pilot, lambda: "did you mean `model`" in shown(pilot))


async def test_changed_data_can_be_read_again(
    pilots: Any, until: Any, shown: Any, recipe: Path
) -> None:
    async with pilots.open("data", size=(120, 40)) as pilot:
        await until(pilot, lambda: rows(pilot) and rows(pilot)[0][4] == "4")
        with (recipe.parent / "intents.csv").open("a", encoding="utf-8") as file:
            file.write("card lost,lost\n")
        await pilot.press("u")
        await until(pilot, lambda: rows(pilot) and rows(pilot)[0][4] == "5")


async def test_hostile_examples_change_nothing_but_themselves(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    (empty_folder / "evil.csv").write_text(
        "input,output\n[red]\x1b[2J[/nope],a\x07\u202eb\nsecond,c\n", encoding="utf-8"
    )
    async with pilots.open("data", size=(120, 40)) as pilot:
        await pilot.press("o")
        pilot.app.screen.query_one(Input).value = "evil.csv"
        await pilot.press("enter")
        await until(pilot, lambda: "[red]\\x1b[2J[/nope]" in shown(pilot))
        assert not set(shown(pilot)) & set("\x1b\x07\u202e")


async def test_every_shipped_recipe_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.recipes.shipped_recipes", shipped_recipes)
    found = datasets.collections()
    assert found[0].title == "tiny"
    assert all(one.sources and one.error is None for one in found)


async def test_the_embedded_suite_is_listed_task_by_task() -> None:
    found = datasets.read(TaskSource(source="tiny:held_out", role="held_out"))
    assert len(found) > 1
    assert all(sum(data.counts) and data.examples for data in found)


async def test_a_silent_hub_is_given_up_and_told(
    pilots: Any,
    until: Any,
    shown: Any,
    recipe: Path,
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in hub.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    hub.ailment = "silent"
    async with pilots.open("data", size=(160, 40)) as pilot:
        await until(pilot, lambda: "intents.csv:4" in shown(pilot))
        await pilot.press("tab", "down")
        await until(pilot, lambda: "Press l to load" in shown(pilot))
        await pilot.press("l")
        await until(pilot, lambda: "did not answer for 1 s" in shown(pilot))
