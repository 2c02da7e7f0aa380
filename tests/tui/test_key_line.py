"""The line of keys: whole, with the way out and help, and a click presses one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from tests.draws import draws
from tui.runs.compare.screen import CompareScreen
from tui.shared.key_line import ALWAYS, Key, KeyLine, fitting

WORDS = ["Start", "To the trash", "Öffnen", "開く"]
KEYS = st.lists(
    st.builds(
        Key, st.sampled_from(["n", "^s", "[ ]"]), st.sampled_from(WORDS), st.sampled_from("abc")
    )
)


@given(keys=KEYS, room=st.integers(0, 120))
@draws(50)
def test_keys_that_are_shown_fit_and_the_way_out_is_among_them(keys: list[Key], room: int) -> None:
    out, help_ = (Key("x", "Leave", pressed) for pressed in ALWAYS)
    always = out.width + help_.width
    found = fitting([*keys, out, help_], room)
    assert found[-2:] == [out, help_]
    drawn = Content(" ").join(key.content for key in found).cell_length + 1
    assert drawn == sum(key.width for key in found) <= max(room, always)
    if sum(key.width for key in keys) + always <= room:
        assert found == [*keys, out, help_]


async def test_in_a_narrow_terminal_no_key_is_cut(pilots: Any, run_folder: Any, until: Any) -> None:
    run_folder("one").steps(3)
    async with pilots.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.screen.selected is not None)
        line = pilot.app.screen.query_one(KeyLine)
        await until(pilot, lambda: "= Compare" in str(line.render()))
        said = str(line.render())
        assert " ? Help " in said
        assert said.rstrip().endswith("▏^p Commands")
        await pilot.click(KeyLine, offset=(said.index("= Compare"), 0))
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await until(pilot, lambda: " esc Back " in str(shown_by(pilot)))
        await pilot.click(KeyLine, offset=(str(shown_by(pilot)).index("esc Back"), 0))
        await until(pilot, lambda: not isinstance(pilot.app.screen, CompareScreen))


def shown_by(pilot: Any) -> Any:
    return pilot.app.screen.query_one(KeyLine).render()
