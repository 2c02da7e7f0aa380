"""The line at the top right, and its bar."""

from typing import Any

import pytest

from tui.app import YofoApp
from tui.shared.blocks import bar, gauge
from tui.shared.state_line import State, StateLine, forms

WHOLE = State(
    name="intents-7b",
    steps="412/2,000",
    share=0.206,
    seconds_left=11_520.0,
    peak_gb=21.4,
    limit_gb=154.0,
)


def test_the_forms_get_shorter_and_none_loses_the_share() -> None:
    told = [form.plain for form in forms(WHOLE)]
    lengths = [len(one) for one in told]
    assert lengths == sorted(lengths, reverse=True)
    assert all("21%" in one for one in told) and told[-1] == "● 21%"
    assert "412/2,000" in told[0] and "21.4 of 154 GB" in told[0] and "done " in told[0]
    assert told[2].endswith("21% · 3 h 12 min · 21/154 GB") and len(told[2]) <= 60


@pytest.mark.parametrize(("used", "colour"), [(21.4, None), (140.0, "warning"), (150.0, "error")])
def test_memory_near_its_limit_is_told_in_colour(used: float, colour: str | None) -> None:
    styles = [str(span.style) for span in next(forms(State("x", peak_gb=used, limit_gb=154))).spans]
    assert any(f"$text-{colour}" in style for style in styles) is (colour is not None)


def test_a_run_of_which_nothing_is_known_yet_has_its_name() -> None:
    assert next(forms(State("new"))).plain == "● new"


def test_a_bar_is_exact_to_the_eighth_of_a_cell() -> None:
    assert bar(0.5, 4) == "██  " and bar(1 / 16, 2) == "▏ " and bar(7.0, 2) == "██"
    assert bar(-1.0, 3) == "   " and gauge(1.0, 4) == "▕██▏"


async def test_every_place_tells_what_the_newest_run_is_at(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    folder = run_folder("going").steps(41)
    with folder.trained():
        async with pilots.open(size=(140, 45)) as pilot:
            app: YofoApp = pilot.app

            def told() -> str:
                return app.screen.query_one(StateLine).render().plain

            await until(pilot, lambda: "41/100" in told())
            assert "● going" in told() and "41%" in told() and "1.2 GB" in told()
            for key in ("1", "3"):
                await pilot.press(key)
                assert "41/100" in told()  # from its first frame on
            folder.step(42, 0.1)
            await until(pilot, lambda: "42/100" in told())
