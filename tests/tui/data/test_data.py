"""Data sets: recipes and paths, their examples and problems."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from textual.widgets import Input, OptionList

from tests.hub_server import HubServer, hub_fixture  # noqa: F401
from tui.data import reading
from tui.data import sets as datasets
from tui.data.add import AddScreen
from tui.data.screen import DataScreen
from tui.data.table import DataTableOfSets
from yofo_mlx.preview import client as previews
from yofo_mlx.preview.client import PreviewClient
from yofo_mlx.preview.reading import read
from yofo_mlx.recipe.file import shipped_recipes
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.registry import load_tasks

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


async def add(pilot: Any, until: Any, text: str) -> None:
    """Put a path on the list, whatever it gives."""
    await pilot.press("a")
    await until(pilot, lambda: isinstance(pilot.app.screen, AddScreen))
    pilot.app.screen.query_one("#path", Input).value = text
    await pilot.pause()
    await pilot.press("ctrl+s")


async def test_a_recipes_data_sets_are_listed_with_counts_and_problems(
    pilots: Any, until: Any, shown: Any, recipe: Path
) -> None:
    async with pilots.open("data", size=(140, 40)) as pilot:
        await until(pilot, lambda: "intents.csv:4" in shown(pilot))
        assert rows(pilot)[0][:6] == ["✗", "intents", "classification", "train", "4", "2"]
        screen = shown(pilot)
        assert "text → label · 3 train, 1 valid" in screen
        assert "2 labels" in screen and "card gone" in screen
        assert rows(pilot)[0][-1] == "1 ✗"
        await until(pilot, lambda: rows(pilot)[0][9:12] == ["all"] * 3)


@pytest.mark.long
async def test_a_hub_source_is_only_loaded_when_asked(
    pilots: Any, until: Any, shown: Any, recipe: Path
) -> None:
    async with pilots.open("data", size=(120, 40)) as pilot:
        await until(pilot, lambda: len(rows(pilot)) == 2 and rows(pilot)[0][0] == "✗")
        await pilot.press("tab", "down")
        await until(pilot, lambda: "Press l to load" in shown(pilot))
        assert rows(pilot)[1][0] == "○"
        await pilot.press("l")
        await until(pilot, lambda: rows(pilot)[1][0] == "✗")  # there is no network in tests
        assert "Press l to load" not in shown(pilot)


async def test_any_file_can_be_opened(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    path = empty_folder / "pairs.jsonl"
    path.write_text('{"input": "2+2", "output": "4"}\n{"input": "3+3"}\n', encoding="utf-8")
    async with pilots.open("data", size=(80, 24)) as pilot:
        await add(pilot, until, str(path))
        await until(pilot, lambda: "pairs.jsonl:2" in shown(pilot))
        assert isinstance(pilot.app.screen, DataScreen)


async def test_a_path_that_is_not_there_says_so(pilots: Any, until: Any, shown: Any) -> None:
    async with pilots.open("data") as pilot:
        await add(pilot, until, "nowhere.csv")
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
        await until(pilot, lambda: rows(pilot) and rows(pilot)[0][3] == "4")
        with (recipe.parent / "intents.csv").open("a", encoding="utf-8") as file:
            file.write("card lost,lost\n")
        await pilot.press("f5")
        await until(pilot, lambda: rows(pilot) and rows(pilot)[0][3] == "5")


async def test_hostile_examples_change_nothing_but_themselves(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    (empty_folder / "evil.csv").write_text(
        "input,output\n[red]\x1b[2J[/nope],a\x07\u202eb\nsecond,c\n", encoding="utf-8"
    )
    async with pilots.open("data", size=(120, 40)) as pilot:
        await add(pilot, until, "evil.csv")
        await until(pilot, lambda: "[red]\\x1b[2J[/nope]" in shown(pilot))
        assert not set(shown(pilot)) & set("\x1b\x07\u202e")


async def test_every_shipped_recipe_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.shared.recipes.shipped_recipes", shipped_recipes)
    found = datasets.collections()
    assert found[0].title == "tiny"
    assert all(one.sources and one.error is None for one in found)


async def test_the_embedded_suite_is_listed_task_by_task() -> None:
    found = read({"source": "tiny:held_out", "role": "held_out"})["sets"]
    assert len(found) > 1
    assert all(sum(data["counts"]) and data["examples"] for data in found)


async def test_what_is_read_is_the_same_on_both_sides_of_the_pipe(empty_folder: Path) -> None:
    (empty_folder / "a.csv").write_text(
        'input,output\n"\u0085 x",y\n"b\n",z\n,\n', encoding="utf-8"
    )
    sources = [TaskSource(source="a.csv"), TaskSource(source="nowhere"), TaskSource(source="*.csv")]
    sources.append(TaskSource(source="a.csv", where={"output": {"not_in": ["z"]}}))
    client, told = PreviewClient(), []
    reading.read(client, dict(enumerate(sources)), told.append)
    client.close()
    done = [one for one in told if isinstance(one, reading.Done)]
    assert [one.index for one in done] == [0, 1, 2, 3]
    here = [read(reading.facts_of(source))["sets"] for source in sources]
    assert [[asdict(one) for one in found.sets] for found in done] == json_of(here)


def json_of(value: Any) -> Any:
    """Return what JSON makes of values, with pairs as the app has them."""
    found = json.loads(json.dumps(value))
    for facts in (facts for sets in found for facts in sets):
        facts["counts"] = tuple(facts["counts"])
        for name in ("labels", "examples"):
            facts[name] = [tuple(pair) for pair in facts[name]]
    return found


async def test_counts_are_what_a_model_reads(empty_folder: Path) -> None:
    lines = [f"text {i},{'a' if i % 2 else 'b'}" for i in range(20)]
    text = "\n".join(["input,output", *lines, lines[0], "skipped,c", ",a"])
    (empty_folder / "a.csv").write_text(text, encoding="utf-8")
    source = TaskSource(
        source="a.csv", bad_rows="drop", where={"output": ["a", "b"]}, valid_share=0.25
    )
    (found,) = read(reading.facts_of(source))["sets"]
    (entry,) = load_tasks([source], 0, empty_folder)
    task = entry.task
    assert (
        tuple(found["counts"]) == (len(task.train), len(task.valid), len(task.test)) == (15, 5, 0)
    )
    assert any("repeated" in note for note in found["notes"])
    limited = source.model_copy(update={"limit": 8})
    (found,) = read(reading.facts_of(limited))["sets"]
    assert tuple(found["counts"]) == (6, 2, 0)


@pytest.mark.long
async def test_moving_fast_through_the_recipes_never_ends_the_app(
    pilots: Any, until: Any, empty_folder: Path, recipe: Path
) -> None:
    for name in "bcd":
        text = f'model = "tiny"\ntrain.steps = 5\n[[tasks]]\nsource = "tiny:{name}"\n'
        (empty_folder / f"{name}.toml").write_text(text)
    async with pilots.open("data") as pilot:
        options = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count == 4 and rows(pilot))
        for place in (3, 0, 3, 1, 0):
            options.highlighted = place
            pilot.app.screen.refresh_bindings()
            pilot.app.screen.check_action("load", ())
            pilot.app.screen.action_load()
            await asyncio.sleep(0.05)
        await pilot.press(*["down", "up", "l", "down", "end", "home", "tab", "up", "l"] * 3)
        assert isinstance(pilot.app.screen, DataScreen)


async def test_keys_answer_while_a_large_file_is_read_and_moving_on_ends_the_reading(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    rows = "".join(f"utterance number {i} about a card,label {i % 77}\n" for i in range(400_000))
    (empty_folder / "large.csv").write_text("input,output\n" + rows)
    for name in ("a", "b"):
        path = empty_folder / f"{name}.toml"
        path.write_text('model = "tiny"\ntrain.steps = 5\n[[tasks]]\nsource = "large.csv"\n')

    async with pilots.open() as pilot:
        await pilot.press("1")
        screen = pilot.app.screen
        await until(pilot, lambda: "reading large.csv, rows" in shown(pilot))
        await pilot.press("tab", "down", "up", "shift+tab")
        before = screen._client._session
        assert before.is_alive  # the keys have not waited for its end
        await pilot.press("down")
        await until(pilot, lambda: not before.is_alive and screen._client._session is not None)
        after = screen._client._session
        await until(pilot, lambda: after.is_alive)
    await asyncio.to_thread(after._child.process.wait, 10)  # closing the app ends it, too


async def test_the_death_of_the_process_that_reads_is_told_and_u_reads_again(
    pilots: Any, until: Any, shown: Any, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    with monkeypatch.context() as patch:
        patch.setattr(previews, "PREVIEW", kill)
        async with pilots.open("data", size=(120, 40)) as pilot:
            await until(pilot, lambda: "killed by SIGKILL" in shown(pilot))
            assert "if memory ran out" in shown(pilot)
            patch.undo()
            await pilot.press("f5")
            await until(pilot, lambda: "intents.csv:4" in shown(pilot))


ODD = ["~nobody/x", "x" * 5000 + ".toml", "[", "tiny:x"]


@pytest.mark.parametrize(
    "text", ["a\0b.toml", *(pytest.param(text, marks=pytest.mark.long) for text in ODD)]
)
async def test_no_path_is_too_odd_to_be_typed(
    pilots: Any, until: Any, shown: Any, text: str
) -> None:
    async with pilots.open("data", size=(120, 40)) as pilot:
        await add(pilot, until, text)
        await until(pilot, lambda: "✗" in shown(pilot) or isinstance(pilot.app.screen, AddScreen))


@pytest.mark.long
async def test_what_was_opened_can_be_taken_off_the_list_and_no_recipe_can(
    pilots: Any, until: Any, shown: Any, recipe: Path
) -> None:
    async with pilots.open("data", size=(120, 40)) as pilot:
        options = pilot.app.screen.query_one(OptionList)
        await add(pilot, until, "intents.csv")
        await until(pilot, lambda: options.option_count == 2)
        await pilot.press("D")
        await until(pilot, lambda: options.option_count == 1)
        await pilot.press("D")
        await until(pilot, lambda: options.option_count == 1)


async def test_a_recipe_that_has_gone_or_come_is_seen_on_coming_back(
    pilots: Any, until: Any, recipe: Path
) -> None:
    async with pilots.open("data") as pilot:
        options = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count == 1)
        (recipe.parent / "other.toml").write_text(recipe.read_text())
        recipe.unlink()
        await pilot.press("2", "1")
        await until(
            pilot,
            lambda: (
                options.option_count == 1
                and options.get_option_at_index(0).id.endswith("other.toml")
            ),
        )


async def test_the_folder_may_be_removed_under_the_app(
    pilots: Any, until: Any, shown: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = empty_folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    async with pilots.open(size=(120, 40)) as pilot:
        gone.rmdir()
        await pilot.press("n", "escape", "1")
        await until(pilot, lambda: "No recipes here" in shown(pilot))
        await add(pilot, until, "x.csv")
        await until(pilot, lambda: "No such file" in shown(pilot))


@pytest.mark.parametrize(
    "broken",
    [
        "tui.data.listing.collections",
        pytest.param("yofo_mlx.system.child.environment", marks=pytest.mark.long),
    ],
)
async def test_a_thread_that_fails_is_told_and_u_tries_again(
    pilots: Any,
    until: Any,
    shown: Any,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("odd [/x]")

    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        async with pilots.open("data", size=(120, 40)) as pilot:
            await until(pilot, lambda: "to try again" in shown(pilot))
            assert "odd [/x]" in shown(pilot)
            patch.undo()
            await pilot.press("f5")
            await until(pilot, lambda: "intents.csv:4" in shown(pilot))


@pytest.mark.long
async def test_all_problems_of_a_set_are_a_command_away(
    pilots: Any, until: Any, shown: Any, recipe: Path
) -> None:
    (recipe.parent / "intents.csv").write_text("text,label\na,b\n" + "bad\n" * 150)
    recipe.rename(recipe.parent / "my own.toml")
    async with pilots.open("data", size=(120, 300)) as pilot:
        command = "more: `yofo data check --all 'my own.toml'` lists all"
        await until(pilot, lambda: command in shown(pilot))


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
