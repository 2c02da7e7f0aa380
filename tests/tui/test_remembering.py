"""What an opening begins with: theme, place, keys; and what is dropped on the terminal."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.containers import VerticalScroll
from textual.widgets import OptionList

from tui.data.screen import DataScreen
from tui.shared.keys import binding_ids, teach_vi
from yofo_mlx.runs import notify


def test_the_window_is_told_by_sequences_that_ring_too() -> None:
    assert notify.on_window("intents finished") == "\033]9;intents finished\a\a"


def test_vi_moves_in_every_list_and_page() -> None:
    teach_vi()

    class Late(VerticalScroll):
        pass

    for kind in (OptionList, VerticalScroll, Late):
        keys = kind._merged_bindings.key_to_bindings  # type: ignore[union-attr]
        assert {"j", "k", "g", "G", "ctrl+d", "ctrl+u", "down", "pagedown"} <= set(keys)


async def test_theme_place_and_keys_are_those_of_the_last_opening(
    pilots: Any, yofo_home: Path, until: Any, shown: Any
) -> None:
    yofo_home.mkdir(exist_ok=True)
    text = '# mine\n[keys]\n"number.prompt" = "9"\n"odd.name" = "x"\n'
    (yofo_home / "app.toml").write_text(text)
    async with pilots.open(size=(140, 45)) as pilot:
        await until(pilot, lambda: "odd.name is no name with a key" in shown(pilot))
        await pilot.press("9")
        assert pilot.app.current_mode == "prompt"
        pilot.app.theme = "nord"
        await pilot.pause()
        await pilot.press("1")
        await pilot.press("f1", "i")
        await until(pilot, lambda: "number.prompt" in shown(pilot))
        await pilot.press("escape")
        await pilot.app.workers.wait_for_complete()
        await pilot.press("q")
    kept = (yofo_home / "app.toml").read_text()
    assert 'theme = "nord"' in kept and 'place = "data"' in kept and "# mine" in kept
    async with pilots.open() as pilot:
        assert pilot.app.theme == "nord"
        await until(pilot, lambda: pilot.app.current_mode == "data")


async def test_a_file_dropped_outside_a_field_is_opened_in_data(
    pilots: Any, empty_folder: Path, until: Any, shown: Any
) -> None:
    path = empty_folder / "mine.csv"
    path.write_text("input,output\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(9)))
    async with pilots.open() as pilot:
        pilot.app.post_message(events.Paste("some words\rof a letter"))
        await until(pilot, lambda: "Nothing was pasted" in shown(pilot))
        assert pilot.app.current_mode == "runs"
        pilot.app.post_message(events.Paste(shlex.quote(str(path))))
        await until(pilot, lambda: isinstance(pilot.app.screen, DataScreen))
        await until(pilot, lambda: "mine.csv" in shown(pilot))


@pytest.mark.long
async def test_the_palette_finds_runs_and_recipes(
    pilots: Any, run_folder: Any, empty_folder: Path, until: Any, shown: Any
) -> None:
    (empty_folder / "my-recipe.toml").write_text('model = "tiny"\n[[tasks]]\nsource = "x"\n')
    for name in ("first", "second"):
        run_folder(name).steps(2)
    async with pilots.open(size=(120, 40)) as pilot:
        await until(pilot, lambda: pilot.app.screen.selected is not None)
        await pilot.press("1", "ctrl+p", *"my-rec")
        await until(pilot, lambda: "New run: tiny" in shown(pilot))
        await pilot.press(*["backspace"] * 6, *"-first")
        await until(pilot, lambda: "Run, " in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.current_mode == "runs")
        await until(pilot, lambda: pilot.app.screen.selected.run.run_id.endswith("first"))


async def test_the_end_of_a_run_rings_in_another_window(
    pilots: Any, run_folder: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder("long one").steps(2)
    with ExitStack() as living:
        living.enter_context(folder.trained())
        async with pilots.open() as pilot:
            written: list[str] = []
            monkeypatch.setattr(pilot.app, "_write", written.append)
            await until(pilot, lambda: pilot.app.state is not None)
            pilot.app.post_message(events.AppBlur())
            await until(pilot, lambda: not pilot.app.app_focus)
            folder.writer.write("finished", step=2, best_step=1, seconds=3.0)
            living.close()
            await until(pilot, lambda: written)
            assert "long-one finished" in written[0]


def test_every_key_of_the_app_has_a_name_of_its_own() -> None:
    import tui.app

    names = binding_ids()
    assert {"number.prompt", "runs.new", "list.down", "help.ids"} <= names
    assert tui.app.YofoApp().ids() >= names


def test_opened_files_are_found_with_columns_and_without(yofo_home: Path) -> None:
    from tui.app import YofoApp

    yofo_home.mkdir(exist_ok=True)
    opened = '["words.csv", {source = "tickets.csv", input = "text"}, 3]'
    (yofo_home / "app.toml").write_text(f"[data]\nopened = {opened}\n")
    found = [thing.name for thing in YofoApp().things()]
    assert found == ["words.csv", "tickets.csv"]
