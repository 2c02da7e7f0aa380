"""Where keys and pastes go: to the place one sees, and into no field behind one's back."""

from typing import Any

import pytest
from textual import events
from textual.widgets import Input, Select

from tests.tui.prompt.test_prompt import ask, paste
from tui.data.screen import DataScreen
from tui.prompt.demonstrations import Demonstrations
from tui.prompt.fields import QueryField, TextField
from tui.prompt.head import ModelBar
from tui.prompt.health import HealthPanel
from tui.prompt.row_table import RowTable
from tui.prompt.screen import PromptScreen
from tui.runs.new import NewRunScreen
from tui.runs.screen import RunsScreen
from yofo_mlx.tasks.task import Example

pytestmark = pytest.mark.asyncio


async def type_fast(pilot: Any, *keys: str) -> None:
    """Send keys as a terminal does: all of them before the first is obeyed."""
    for key in keys:
        pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
    await pilot.pause()
    await pilot.pause()


def written(pilot: Any) -> list[str]:
    screens = [screen for stack in pilot.app._screen_stacks.values() for screen in stack]
    return [field.text for screen in screens for field in screen.query(TextField) if field.text]


@pytest.mark.parametrize("field", ["#query", "#instruction"])
async def test_a_key_typed_right_after_a_switch_belongs_to_the_new_place(
    pilots: Any, until: Any, field: str
) -> None:
    async with pilots.open("prompt") as pilot:
        pilot.app.screen.query_one(field).focus()
        await pilot.pause()
        await type_fast(pilot, "f3", "n")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen))
        assert not written(pilot)


@pytest.mark.parametrize("place", ["prompt", "runs"])
@pytest.mark.parametrize("key", ["f4", "enter"])
async def test_what_is_typed_right_after_a_field_is_chosen_is_its_text(
    pilots: Any, place: str, key: str
) -> None:
    async with pilots.open(place) as pilot:
        await type_fast(pilot, "3", key, *"cab")
        assert written(pilot) == ["cab"]
        assert pilot.app.screen.query_one(ModelBar).way == "balanced"


@pytest.mark.parametrize(("place", "key"), [("data", "a"), ("runs", "slash")])
async def test_what_is_typed_right_after_a_line_is_opened_stands_in_it(
    pilots: Any, run_folder: Any, place: str, key: str
) -> None:
    run_folder("one")
    async with pilots.open(place) as pilot:
        await type_fast(pilot, key, *"oldest")
        assert pilot.app.screen.query(Input).first().value == "oldest"


async def test_digits_in_a_row_lead_from_place_to_place(pilots: Any, until: Any) -> None:
    async with pilots.open() as pilot:
        await type_fast(pilot, "3", "1", "3", "2", "1")
        await until(pilot, lambda: isinstance(pilot.app.screen, DataScreen))
        assert not written(pilot)


async def test_a_place_one_comes_back_to_has_no_field_that_takes_digits(pilots: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await pilot.press("enter", "7", "f3", "3", "2")
        assert isinstance(pilot.app.screen, RunsScreen)
        assert written(pilot) == ["7"]


async def test_f4_within_prompt_leads_to_the_question(pilots: Any) -> None:
    async with pilots.open("prompt") as pilot:
        assert pilot.app.focused is None
        await pilot.press("f4")
        assert isinstance(pilot.app.focused, QueryField)
        await pilot.press("escape")
        assert pilot.app.focused is None


async def test_without_a_focus_tab_leads_to_the_demonstrations(pilots: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await pilot.press("tab")
        assert isinstance(pilot.app.focused, RowTable)
        await pilot.press("tab", "tab", "tab")
        assert isinstance(pilot.app.focused, QueryField)


@pytest.mark.parametrize("where", ["nowhere", "models"])
async def test_what_is_pasted_outside_a_field_is_added_to_the_demonstrations(
    pilots: Any, until: Any, where: str
) -> None:
    async with pilots.open("prompt") as pilot:
        if where == "models":
            pilot.app.screen.query_one(Select).focus()
            await pilot.pause()
        await paste(pilot, "one\ta")
        await paste(pilot, "two\tb\r")
        shown = pilot.app.screen.query_one(Demonstrations)
        await until(pilot, lambda: shown.examples == [Example("one", "a"), Example("two", "b")])


async def test_a_paste_into_a_field_arrives_once(pilots: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await pilot.press("enter")
        await paste(pilot, "once")
        assert written(pilot) == ["once"]


@pytest.mark.parametrize(("rows", "height"), [(40, 14), (8, 24), (2, 36)])
async def test_what_was_pasted_can_be_taken_back(pilots: Any, rows: int, height: int) -> None:
    async with pilots.open("prompt", size=(80, height)) as pilot:
        text = "".join(f"{'a long row ' * 12}{number}\n" for number in range(rows))
        field = pilot.app.screen.query_one(QueryField)
        field.focus()
        await pilot.pause()
        await paste(pilot, text)
        await paste(pilot, text)
        field.move_cursor(field.document.end)
        for keys in (["ctrl+z"] * 3, ["ctrl+y"] * 3):
            await pilot.press(*keys)
            cursor = field.cursor_screen_offset.y - field.region.y
            assert pilot.app._exception is None and 0 <= cursor < field.region.height
        assert field.text == text + text


async def test_a_message_does_not_lie_on_the_question(pilots: Any, shown: Any) -> None:
    async with pilots.open("prompt", size=(80, 24)) as pilot:
        await pilot.press("enter")
        for _ in range(3):
            pilot.app.notify("a run ended, as runs do: " + "word " * 20, timeout=60)
        await pilot.pause()
        await pilot.press(*"question")
        await pilot.pause()
        question = pilot.app.screen.query_one(QueryField).region
        rows = shown(pilot).split("\n")[question.y : question.bottom]
        assert "question" in rows[1] and not any("word" in row for row in rows)


async def test_answers_that_are_in_no_file_are_not_cleared_without_a_question(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        await ask(pilot, "one")
        await until(pilot, lambda: pilot.app.screen.is_idle)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "1 answer would be lost" in shown(pilot))
        await pilot.press("n")
        assert isinstance(pilot.app.screen, PromptScreen) and "the answer" in shown(pilot)
        await pilot.press("ctrl+l", "y")
        await until(pilot, lambda: "Nothing asked yet" in shown(pilot))


async def test_keys_of_the_demonstrations_work_before_they_have_the_focus(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt", size=(80, 24)) as pilot:
        await pilot.press("i")
        await until(pilot, lambda: "A new demonstration" in shown(pilot))
        await pilot.press("escape", "h")
        await until(pilot, lambda: pilot.app.screen.query_one(HealthPanel).has_focus)
        await pilot.press("escape", "O")
        await until(pilot, lambda: "Open a set" in shown(pilot))
