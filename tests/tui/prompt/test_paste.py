"""What a terminal pastes, as it pastes it: every demonstration arrives, and its answer is seen."""

from typing import Any

import pytest
from textual import events

from tui.prompt.demonstrations import Demonstrations
from tui.prompt.fields import TextField
from yofo_mlx.tasks.task import Example

pytestmark = pytest.mark.asyncio

ENDS = {"\\r": "\r", "\\r\\n": "\r\n", "\\n": "\n"}
ROWS = [f"please tell me where my card number {n} is right now\tlabel_{n}" for n in range(600)]


async def paste(pilot: Any, until: Any, text: str) -> Demonstrations:
    shown: Demonstrations = pilot.app.screen.query_one(Demonstrations)
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()
    await until(pilot, lambda: shown.rows.all and shown.is_settled)
    return shown


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_large_paste_keeps_its_rows_and_shows_its_labels(
    pilots: Any, until: Any, shown: Any, end: str
) -> None:
    async with pilots.open("prompt", size=(80, 24)) as pilot:
        found = await paste(pilot, until, end.join(ROWS))
        await until(pilot, lambda: "600 shots" in shown(pilot))
        await until(pilot, lambda: "label_599" in shown(pilot), 5)
        assert found.examples == [Example(*row.split("\t")) for row in ROWS]


@pytest.mark.parametrize(
    "odd",
    [
        "\u2028",
        *(pytest.param(one, marks=pytest.mark.long) for one in ("\x0b", "\x1c", "\x85", "\0")),
    ],
)
async def test_what_only_looks_like_the_end_of_a_line_stays_in_its_demonstration(
    pilots: Any, until: Any, shown: Any, odd: str
) -> None:
    async with pilots.open("prompt") as pilot:
        found = await paste(pilot, until, f"one{odd}more\ta\rtwo\tb\r")
        assert found.examples == [Example(f"one{odd}more", "a"), Example("two", "b")]
        assert not set(shown(pilot)) & {odd}


async def test_characters_without_a_width_do_not_push_the_label_out_of_sight(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt", size=(80, 24)) as pilot:
        await paste(pilot, until, "\x1b[2J\u200b" * 40 + "\tthe_label\n")
        await until(pilot, lambda: "the_label" in shown(pilot))


async def test_half_a_character_is_named_and_not_sent(pilots: Any, until: Any, shown: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await paste(pilot, until, "a\ud800b\tx\ngood\ty\n")
        await until(
            pilot,
            lambda: "half of a character" in shown(pilot) and "1 demonstration" in shown(pilot),
        )


async def test_wrapping_comes_back_when_the_enormous_line_is_gone(pilots: Any) -> None:
    async with pilots.open("prompt") as pilot:
        field = pilot.app.screen.query_one("#instruction", TextField)
        field.focus()
        await pilot.pause()
        pilot.app.post_message(events.Paste("x" * 100_000))
        await pilot.pause()
        assert not field.soft_wrap
        await pilot.press("ctrl+z", "a")
        assert field.soft_wrap


async def test_after_a_paste_of_more_than_a_megabyte_keys_are_answered(
    pilots: Any, until: Any
) -> None:
    rows = (f"a row of forty characters or so, no. {n}\tl{n % 77}" for n in range(25_000))
    async with pilots.open("prompt") as pilot:
        found = await paste(pilot, until, "\r".join(rows))
        await pilot.press("e", "g", "j", "space")
        assert len(found.examples) == 24_999 and found.table.cursor == 1


async def test_a_very_long_row_shows_its_label_too(pilots: Any, until: Any, shown: Any) -> None:
    async with pilots.open("prompt", size=(80, 24)) as pilot:
        await paste(pilot, until, "word " * 10_000 + "\tfar_label\rshort\tnear_label\r")
        await until(pilot, lambda: "far_label" in shown(pilot) and "near_label" in shown(pilot))
