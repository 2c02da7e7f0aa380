"""The list of demonstrations: keys that change it, sets by name, many rows, odd ones."""

from typing import Any

import pytest
from textual.widgets import Input, TextArea

from tests.tui.pictures import check_picture
from tests.tui.prompt.test_prompt import THREE, paste
from tests.tui.prompt.test_rows import facts_of
from tui.prompt.demonstrations import Demonstrations
from tui.prompt.row_editor import RowScreen, RowsTextScreen
from tui.prompt.row_table import RowTable
from tui.prompt.rows import Row
from tui.prompt.screen import PromptScreen
from tui.prompt.set_picker import SetScreen
from yofo_mlx.prompting import sets
from yofo_mlx.tasks.task import Example

pytestmark = pytest.mark.asyncio


def list_of(pilot: Any) -> Demonstrations:
    found: Demonstrations = pilot.app.screen.query_one(Demonstrations)
    return found


async def pasted(pilot: Any, until: Any, text: str = THREE) -> Demonstrations:
    """Paste rows, and go to their list."""
    shown = list_of(pilot)
    before = len(shown.rows.all)
    await paste(pilot, text)
    await until(pilot, lambda: len(shown.rows.all) > before and shown.is_settled)
    shown.table.focus()
    await pilot.press("g")
    return shown


def answers(shown: Demonstrations) -> list[str]:
    return [example.output for example in shown.examples]


async def test_rows_are_put_off_moved_dropped_and_each_change_is_undone(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        rows = await pasted(pilot, until)
        await pilot.press("j", "space")
        assert answers(rows) == ["lost_card", "transfer"]
        assert "2 demonstrations · 1 off" in shown(pilot)
        await pilot.press("g", "J")
        assert rows.table.place == 1 and rows.rows.all[1].example.output == "lost_card"
        await pilot.press("D")
        assert answers(rows) == ["transfer"]
        await pilot.press("u", "u", "u")
        assert answers(rows) == ["lost_card", "get_pin", "transfer"]
        await pilot.press("u", "u")  # the first takes back the paste itself, the second nothing
        assert not rows.rows.all and "Paste labelled examples" in shown(pilot)


@pytest.mark.long
async def test_a_row_is_written_and_changed_in_a_dialog(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        rows = await pasted(pilot, until)
        await pilot.press("e")
        assert isinstance(pilot.app.screen, RowScreen)
        await pilot.press("!", "tab", "s", "enter")
        assert rows.examples[0] == Example("my card is gone!", "lost_cards")
        await pilot.press("i", *"new", "enter")
        await until(pilot, lambda: "the answer is empty" in shown(pilot))
        await pilot.press("x", "enter")
        assert rows.examples[1] == Example("new", "x") and rows.table.place == 1
        await pilot.press("e", "!", "escape")
        assert rows.examples[1] == Example("new", "x")


@pytest.mark.long
async def test_all_rows_as_text_are_changed_at_once(pilots: Any, until: Any) -> None:
    async with pilots.open("prompt") as pilot:
        rows = await pasted(pilot, until)
        await pilot.press("space", "T")
        assert isinstance(pilot.app.screen, RowsTextScreen)
        field = pilot.app.screen.query_one(TextArea)
        assert field.text == THREE
        field.text = THREE + "more\tother\n"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: answers(rows) == ["get_pin", "transfer", "other"])
        await pilot.press("u")
        assert answers(rows) == ["get_pin", "transfer"]


async def test_suspicious_rows_are_marked_found_and_dropped(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt", size=(140, 45)) as pilot:
        rows = await pasted(pilot, until)
        assert "drop suspicious" not in shown(pilot).casefold()
        rows.show_health(facts_of(*rows.examples, suspicious=2))
        await pilot.pause()
        assert ".05 ◀?" in shown(pilot) and "health · 1 ◀?" in shown(pilot)
        await pilot.press("n")
        assert rows.table.place == 1
        await pilot.press("x")
        assert answers(rows) == ["lost_card", "transfer"] and "◀?" not in shown(pilot)
        await pilot.press("u")
        assert "◀?" in shown(pilot)
        await pilot.resize_terminal(80, 24)
        assert "Too few" not in shown(pilot)
        await pilot.press("h")
        assert "Too few" in shown(pilot) and "get_pin" not in shown(pilot)
        await pilot.press("h")
        assert "Too few" not in shown(pilot) and "get_pin" in shown(pilot)


@pytest.mark.long
async def test_a_filter_and_an_order_change_only_what_is_seen(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt", size=(140, 45)) as pilot:
        rows = await pasted(pilot, until)
        await pilot.press("slash", *"MY", "enter", "asterisk")
        assert answers(rows) == ["transfer"] and "1 demonstration · 2 off · 2 seen" in shown(pilot)
        await pilot.press("slash", "escape")
        assert len(rows.rows.places) == 3
        await pilot.press("o", "o")
        assert rows.rows.order == "by answer" and rows.rows.all[0].example.output == "lost_card"
        await pilot.press("J")
        await until(pilot, lambda: "Rows move where all are seen" in shown(pilot))


@pytest.mark.long
async def test_a_set_is_saved_under_a_name_and_opened_again(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt", size=(140, 45)) as pilot:
        rows = await pasted(pilot, until)
        rows.query_one("#instruction", TextArea).text = "Name it."
        await pilot.press("space", "S", *"no way", "enter")
        await until(pilot, lambda: "is no name of a set" in shown(pilot))
        pilot.app.screen.query_one(Input).value = "cards"
        await pilot.press("enter")
        await until(pilot, lambda: rows.set_name == "cards")
        kept = sets.get("cards")
        assert [item.example for item in kept.read().all_items()] == rows.examples
        assert kept.instruction == "Name it." and rows.unsaved() == []
        await pilot.press("D")
        assert "cards" in shown(pilot) and "cards*" not in shown(pilot)  # the row was off
        await pilot.press("D")
        await until(pilot, lambda: "cards*" in shown(pilot))
        await pilot.press("O", "y")
        await until(pilot, lambda: isinstance(pilot.app.screen, SetScreen))
        await until(pilot, lambda: "2 rows" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: answers(rows) == ["get_pin", "transfer"])
        assert rows.instruction == "Name it." and rows.unsaved() == []


async def test_a_set_of_that_name_is_not_replaced_without_a_question(
    pilots: Any, until: Any, shown: Any
) -> None:
    sets.add(sets.checked("mine"), [Example("a", "b")])
    async with pilots.open("prompt") as pilot:
        await pasted(pilot, until)
        await pilot.press("S", *"mine", "enter")
        await until(pilot, lambda: "There is a set mine" in shown(pilot))
        await pilot.press("n")
        assert isinstance(pilot.app.screen, PromptScreen)
    assert [item.example for item in sets.get("mine").read().all_items()] == [Example("a", "b")]


async def test_a_dropped_file_is_read(pilots: Any, until: Any, empty_folder: Any) -> None:
    (empty_folder / "my rows.csv").write_text("input,output\none,a\ntwo,b\n")
    async with pilots.open("prompt") as pilot:
        rows = await pasted(pilot, until, f"'{empty_folder}/my rows.csv'")
        assert rows.examples == [Example("one", "a"), Example("two", "b")]


@pytest.mark.long
async def test_of_many_rows_only_those_in_sight_are_drawn(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        rows = list_of(pilot)
        rows.rows.start(Row(Example(f"row {n}", f"l{n % 7}")) for n in range(30_000))
        drawn: list[int] = []
        content = rows.table._content
        rows.table._content = lambda place, width: (  # type: ignore[method-assign]
            drawn.append(place) or content(place, width)  # type: ignore[func-returns-value]
        )
        rows.row_list.changed()
        rows.table.focus()
        await pilot.press("G", "space", "k")
        await until(pilot, lambda: "row 29998" in shown(pilot) and "1 off" in shown(pilot))
        assert len(rows.examples) == 29_999
        assert len(drawn) < 1_000


@pytest.mark.long
async def test_hostile_rows_are_text_and_every_width_shows_the_answer(
    pilots: Any, until: Any, shown: Any
) -> None:
    evil = "[/bold][@click=app.quit]\x1b[2J\u202e"
    async with pilots.open("prompt", size=(60, 20)) as pilot:
        rows = await pasted(pilot, until, f"{evil}\tthe_label\n漢字漢字漢字 {'x' * 500}\tother\n")
        for width in (60, 24, 140):
            await pilot.resize_terminal(width, 30)
            await pilot.pause()
            assert not set(shown(pilot)) & set("\x1b\u202e")
        assert "[/bold]" in shown(pilot) and "the_label" in shown(pilot)
        assert rows.table.region.width > 0


@pytest.mark.long
@pytest.mark.parametrize("size", [(140, 45), (80, 24)], ids=["wide", "narrow"])
async def test_the_list_looks_as_it_did(pilots: Any, until: Any, size: tuple[int, int]) -> None:
    async with pilots.open("prompt", size=size) as pilot:
        text = "".join(f"{row} no. {n}\n" for n in range(9) for row in THREE.split("\n") if row)
        rows = await pasted(pilot, until, text.replace("\t", "\tl_"))
        rows.show_health(facts_of(*rows.examples, suspicious=2))
        await pilot.press("j", "j", "space")
        await until(pilot, lambda: rows._sound is not None)
        check_picture(pilot.app, f"demonstrations-{size[0]}")


async def test_a_click_on_a_mark_puts_the_row_off_and_two_on_its_text_open_it(
    pilots: Any, until: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        rows = await pasted(pilot, until)
        await pilot.click(RowTable, offset=(2, 3))
        assert answers(rows) == ["lost_card", "transfer"]
        await pilot.click(RowTable, offset=(12, 2), times=2)
        assert isinstance(pilot.app.screen, RowScreen)
