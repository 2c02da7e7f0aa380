"""Every theme: tables whole from the start, colours of the theme and of none before it."""

from pathlib import Path
from typing import Any

import pytest
from rich.color import ColorSystem
from textual.app import App
from textual.color import Color
from textual.style import Style
from textual.theme import BUILTIN_THEMES

from tui.app import FEW_COLOURS
from tui.data.table import DataTableOfSets
from tui.runs.table import RunTable
from tui.shared.table import ListTable

pytestmark = pytest.mark.asyncio

RECIPE = """
model = "tiny"
train.steps = 5
[[tasks]]
name = "a set of a long name"
source = "good.csv"
[[tasks]]
name = "also good"
source = "good.csv"
[[tasks]]
name = "bad"
source = "bad.csv"
"""


@pytest.fixture
def recipe(empty_folder: Path) -> None:
    good = "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(40))
    (empty_folder / "good.csv").write_text(f"input,output\n{good}")
    (empty_folder / "bad.csv").write_text(f"input,output\n{good}bad row\n")
    (empty_folder / "mine.toml").write_text(RECIPE)


def drawn(table: ListTable) -> list[list[tuple[str, Any]]]:
    """Return what is on the screen of each line of a table, with its colours."""
    lines = [table.render_line(y) for y in range(table.row_count + 1)]
    return [[(segment.text, segment.style) for segment in line] for line in lines]


def colour_of(table: ListTable, text: str) -> str:
    """Return the colour that a piece of text is drawn in."""
    styles = [style for line in drawn(table) for piece, style in line if text in piece]
    return str(styles[-1].color)  # the first row has the cursor on it


def expected(pilot: Any, name: str) -> str:
    variables = pilot.app.theme_variables
    return str(Style.parse(f"{name} on $background", variables).rich_style.color)


def check_data(pilot: Any, shown: Any) -> None:
    table = pilot.app.screen.query_one(DataTableOfSets)
    whole = shown(pilot)
    assert "a set of a long name" in whole and "classification" in whole
    assert "data set" in whole and "family" in whole and "train" in whole
    assert colour_of(table, "✗") == expected(pilot, "$text-error")
    assert colour_of(table, "✓") == expected(pilot, "$text-success")


def check_runs(pilot: Any, shown: Any) -> None:
    table = pilot.app.screen.query_one(RunTable)
    assert "✗ failed" in shown(pilot) and "✓ finished" in shown(pilot)
    assert colour_of(table, "✗ failed") == expected(pilot, "$text-error")
    assert colour_of(table, "✓ finished") == expected(pilot, "$text-primary")


FEW = ["nord", "textual-light", "ansi-dark"]  # of dark, light, and a terminal's own colours


@pytest.mark.parametrize(
    "themes", [FEW, pytest.param([*BUILTIN_THEMES], marks=pytest.mark.long)], ids=["few", "every"]
)
async def test_every_theme_that_one_changes_to_has_its_own_colours_in_whole_tables(
    pilots: Any, run_folder: Any, until: Any, shown: Any, recipe: None, themes: list[str]
) -> None:
    run_folder("right").steps(2).writer.write("finished", step=2, best_step=1, seconds=3.0)
    run_folder("wrong").writer.write("failed", step=0, message="x", hint="y")
    run_folder("going").steps(2)
    async with pilots.open(size=(120, 40)) as pilot:
        await until(pilot, lambda: "✓ finished" in shown(pilot) and "✗ failed" in shown(pilot))
        await pilot.press("1")
        await until(pilot, lambda: "✗  bad" in shown(pilot) and "✓  a set" in shown(pilot))
        for key, check in (("1", check_data), ("2", check_runs)):
            await pilot.press(key)
            for theme in themes:
                pilot.app.theme = theme
                await pilot.pause()
                check(pilot, shown)


@pytest.mark.parametrize("theme", FEW)
async def test_a_theme_of_the_environment_is_right_from_the_start(
    pilots: Any, until: Any, shown: Any, recipe: None, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(App.__dict__["theme"], "_default", theme)  # as TEXTUAL_THEME does
    async with pilots.open("data", size=(120, 40)) as pilot:
        assert pilot.app.theme == theme
        await until(pilot, lambda: "✗  bad" in shown(pilot) and "✓  a set" in shown(pilot))
        check_data(pilot, shown)


async def test_colours_for_few_colours_are_among_them() -> None:
    for value in FEW_COLOURS.values():
        colour = Color.parse(value).rich_color
        assert colour.downgrade(ColorSystem.EIGHT_BIT).get_truecolor() == colour.triplet
