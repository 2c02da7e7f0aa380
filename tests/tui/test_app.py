"""The shell: places, keys, the palette, and what it may import."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.style import Style
from textual import events
from textual.app import ScreenStackError
from textual.binding import Binding
from textual.command import CommandPalette
from textual.css.query import NoMatches
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import DataTable, OptionList

import tui.app
from tui.data.screen import DataScreen
from tui.prompt.demonstrations import Demonstrations
from tui.prompt.screen import PromptScreen
from tui.runs.screen import RunsScreen
from tui.shared.jumping import JumpScreen
from tui.shared.messages import PromptWith

pytestmark = pytest.mark.asyncio


async def test_the_app_imports_no_mlx() -> None:
    code = "import sys, tui.app; print(*{m.split('.')[0] for m in sys.modules})"
    root = str(Path(tui.app.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & {"mlx", "mlx_lm", "transformers", "torch"}


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10)])
async def test_digits_lead_to_the_places_at_every_size(pilots: Any, size: tuple[int, int]) -> None:
    async with pilots.open(size=size) as pilot:
        for key, place in (("1", DataScreen), ("2", RunsScreen), ("3", PromptScreen)):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(pilot.app.screen, place)


async def test_every_binding_has_an_id_of_its_own() -> None:
    nodes = (tui.app.YofoApp, DataScreen, RunsScreen, PromptScreen)
    bindings = [one for node in nodes for one in node.BINDINGS if isinstance(one, Binding)]
    names = [binding.id for binding in bindings]
    assert all(names)
    assert len(set(names)) == len(names)


async def test_the_palette_offers_what_the_keys_do(pilots: Any) -> None:
    async with pilots.open() as pilot:
        commands = {c.title: c for c in pilot.app.get_system_commands(pilot.app.screen)}
        assert {"New run", "Data", "Theme", "Quit"} <= set(commands)
        assert not {"Maximize", "Screenshot", "Keys"} & set(commands)
        await pilot.press("ctrl+p")
        assert isinstance(pilot.app.screen, CommandPalette)
        await pilot.press("escape")
        commands["Data"].callback()
        await pilot.pause()
        await pilot.pause()
        assert isinstance(pilot.app.screen, DataScreen)


@pytest.mark.parametrize("action", ["command_palette", "change_theme"])
async def test_a_palette_that_is_closed_while_it_searches_does_not_end_the_app(
    pilots: Any, action: str
) -> None:
    async with pilots.open() as pilot:
        await pilot.app.run_action(action)
        await pilot.pause()
        palette = pilot.app.screen
        assert isinstance(palette, CommandPalette)
        await pilot.press("escape")
        palette._gather_commands("new")  # as a key does that is still on its way
        await pilot.pause()
        await pilot.press("1")
        assert isinstance(pilot.app.screen, DataScreen)


async def test_every_theme_can_draw_every_place(pilots: Any, run_folder: Any) -> None:
    run_folder("some").steps(20)
    async with pilots.open() as pilot:
        for theme in ("textual-light", "nord", "ansi-dark"):
            pilot.app.theme = theme
            for key in ("1", "2"):
                await pilot.press(key)
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_quitting_ends_no_run(pilots: Any, run_folder: Any, until: Any) -> None:
    folder = run_folder("going").steps(2)
    with folder.trained():
        async with pilots.open() as pilot:
            await until(pilot, lambda: pilot.app.screen.selected is not None)
            await pilot.press("q")
        assert folder.run.status() == "running"
        assert not folder.run.stop_path.exists()


@pytest.mark.parametrize("key", ["question_mark", "n", "ctrl+p"])
async def test_a_dialog_that_is_closed_twice_closes_nothing_else(pilots: Any, key: str) -> None:
    async with pilots.open() as pilot:
        await pilot.press(key)
        dialog = pilot.app.screen
        assert dialog is not pilot.app.screen_stack[0]
        dialog.dismiss()
        dialog.dismiss()
        await pilot.pause()
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_a_dialog_that_ends_below_another_takes_that_with_it(pilots: Any) -> None:
    async with pilots.open() as pilot:
        await pilot.press("n")
        dialog = pilot.app.screen
        await pilot.press("ctrl+p")
        assert pilot.app.screen is not dialog
        dialog.dismiss()
        await pilot.pause()
        assert isinstance(pilot.app.screen, RunsScreen)


@pytest.mark.parametrize("action", ["command_palette", "change_theme", "help", "quit"])
async def test_a_dialog_that_ends_below_one_not_yet_laid_out_takes_that_with_it(
    pilots: Any, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tui.app, "_unsaved", lambda screen: "work")
    async with pilots.open() as pilot:
        await pilot.press("n")
        dialog = pilot.app.screen
        await pilot.app.run_action(action)
        assert not pilot.app.screen.is_mounted
        dialog.dismiss()
        await pilot.pause()
        assert pilot.app._exception is None
        await pilot.press("1")
        assert isinstance(pilot.app.screen, DataScreen)


async def test_keys_wait_for_a_screen_that_is_being_laid_out(pilots: Any) -> None:
    async with pilots.open() as pilot:
        for key in ("3", "q", "1", "o", "escape"):
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        assert pilot.app._exception is None


@pytest.mark.long
async def test_a_list_without_room_takes_page_keys(pilots: Any) -> None:
    async with pilots.open(size=(1, 1)) as pilot:
        for action in (pilot.app.action_command_palette, pilot.app.screen.action_new):
            action()
            await pilot.press("pagedown", "pageup")
            assert pilot.app._exception is None
            await pilot.press("escape")


@pytest.mark.parametrize(
    ("place", "kind", "drawn"),
    [("data", OptionList, {"option": 9}), ("runs", DataTable, {"row": -1, "column": 99})],
)
async def test_a_click_on_an_entry_that_has_gone_meanwhile_is_one_on_nothing(
    pilots: Any, place: str, kind: type[Widget], drawn: dict[str, int]
) -> None:
    async with pilots.open(place) as pilot:
        entries = pilot.app.screen.query_one(kind)
        at = {"delta_x": 0, "delta_y": 0, "shift": False, "meta": False, "ctrl": False}
        style = Style(meta=drawn)
        entries.post_message(events.Click(entries, 1, 1, button=1, style=style, **at))
        await pilot.pause()
        assert pilot.app._exception is None


async def test_what_comes_when_the_screens_are_put_away_is_no_defect(pilots: Any) -> None:
    async with pilots.open() as pilot:
        app = pilot.app
    app._handle_exception(ScreenStackError("late"))
    assert app._exception is None


async def test_what_a_palette_still_does_while_it_is_taken_away_is_no_defect(
    pilots: Any, until: Any
) -> None:
    async with pilots.open() as pilot:
        await pilot.press("ctrl+p")
        palette = pilot.app.screen
        palette.dismiss()
        while palette.is_running:
            await asyncio.sleep(0)
        palette._show_busy = not palette._show_busy  # as its search does when it ends
        await until(pilot, lambda: palette.parent is None)
        assert pilot.app._exception is None
        pilot.app._handle_exception(NoMatches("in a place that stays"))
        assert pilot.app._exception is not None
        pilot.app._exception = None


async def test_quitting_does_not_ask_a_place_that_is_still_being_laid_out(pilots: Any) -> None:
    async with pilots.open() as pilot:
        pilot.app._screen_stacks["prompt"] = [PromptScreen()]
        await pilot.press("q")
        assert pilot.app._exception is None and not pilot.app.is_running
        del pilot.app._screen_stacks["prompt"]


async def test_a_click_beside_a_palette_that_shrank_closes_it(pilots: Any) -> None:
    async with pilots.open() as pilot:
        await pilot.press("ctrl+p")
        palette = pilot.app.screen
        at = {"delta_x": 0, "delta_y": 0, "shift": False, "meta": False, "ctrl": False}
        palette.post_message(events.Click(palette, 500, 500, button=1, **at))
        await pilot.pause()
        assert isinstance(pilot.app.screen, RunsScreen) and pilot.app._exception is None


async def test_sizes_that_follow_each_other_fast_come_to_rest(
    pilots: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pilots.open() as pilot:
        laid_out, refresh = [], Screen._refresh_layout

        def note(self: Screen[Any], size: Size | None = None, scroll: bool = False) -> None:
            laid_out.append(size)
            refresh(self, size, scroll)

        monkeypatch.setattr(Screen, "_refresh_layout", note)
        for size in (Size(40, 10), pilot.app.size):
            pilot.app.screen.post_message(Resize(size, size))
        await asyncio.sleep(0.5)
        assert len([size for size in laid_out if size is not None]) < 3


async def test_a_data_set_taken_to_prompt_is_there_once(pilots: Any, until: Any) -> None:
    async with pilots.open("data") as pilot:
        pilot.app.post_message(PromptWith("horse\tAnna\nplum\tTom\n"))
        await until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
        rows = pilot.app.screen.query_one(Demonstrations)
        await until(pilot, lambda: rows.examples)
        await pilot.pause(0.2)
        assert [row.output for row in rows.examples] == ["Anna", "Tom"]


async def test_a_complaint_stays_longer_than_news(pilots: Any) -> None:
    async with pilots.open() as pilot:
        pilot.app.screen.notify("cannot be queued", severity="error")
        pilot.app.screen.notify("queued")
        pilot.app.screen.notify("and soon gone", severity="error", timeout=1)
        await pilot.pause()
        assert [one.timeout for one in pilot.app._notifications] == [20, 5, 1]


async def test_a_letter_leads_to_any_place_on_the_screen(pilots: Any, shown: Any) -> None:
    async with pilots.open("prompt", size=(120, 36)) as pilot:
        screen = pilot.app.screen
        places = screen.focus_chain
        await pilot.press("ctrl+o")
        assert isinstance(pilot.app.screen, JumpScreen)
        line = shown(pilot).splitlines()[places[1].region.y]
        assert line[places[1].region.x :].startswith(" b ")
        await pilot.press("b")
        assert pilot.app.screen is screen and screen.focused is places[1]
        await pilot.press("ctrl+o", "escape")
        assert pilot.app.screen is screen and screen.focused is places[1]


async def test_a_colon_opens_the_palette_but_in_a_field_is_text(pilots: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await pilot.press("colon")
        assert isinstance(pilot.app.screen, CommandPalette)
        await pilot.press("escape", "enter", "colon")
        assert pilot.app.screen.query_one("#query").text == ":"
