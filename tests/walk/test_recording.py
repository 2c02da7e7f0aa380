"""Pictures and recordings of a terminal show what its screen showed."""

import json
from pathlib import Path

import pyte
import pytest
from pictures import boxes_of, cells_of, svg_of
from walk import Recording, check_no_places

from tests.walk.shell import Screen

FIRST = "\x1b[1;38;2;255;0;0mred\x1b[0m plain\r\n│⠁█ │"
SECOND = "\x1b[2;1H\x1b[48;2;0;0;255m<b>"


def test_a_recording_played_again_shows_the_same(tmp_path: Path) -> None:
    screen, again = Screen(140, 45), Screen(140, 45)
    recording = Recording()
    for text in (FIRST, SECOND):
        pyte.Stream(screen).feed(text)
        recording.pause(screen)
    recording.save(tmp_path / "walk.cast")
    head, *events = map(json.loads, (tmp_path / "walk.cast").read_text("utf-8").splitlines())
    assert head["version"] == 2 and events[-1][0] >= 6.0
    assert sum(len(text) for _, _, text in events[2:]) < 100  # what has changed
    pyte.Stream(again).feed("".join(text for _, _, text in events))
    assert [cells_of(again, row) for row in range(45)] == [
        cells_of(screen, row) for row in range(45)
    ]


def test_a_picture_draws_lines_and_writes_letters() -> None:
    screen = Screen(20, 2)
    pyte.Stream(screen).feed(FIRST)
    said = svg_of(screen)
    assert 'font-weight="bold">red</text>' in said and "plain" in said
    assert said.count("<path") == 1 and "│" not in said
    pyte.Stream(screen).feed(SECOND)
    assert "&lt;b&gt;" in svg_of(screen) and 'fill="#0000ff"' in svg_of(screen)


@pytest.mark.parametrize(
    ("letter", "boxes"),
    [
        ("a", ()), (" ", ()), ("\u2800", ()), ("█", ((0, 0, 1, 1),)), ("▌", ((0, 0, 0.5, 1),)),
        ("▂", ((0, 0.75, 1, 1),)), ("▕", ((0.875, 0, 1, 1),)),
    ],
)  # fmt: skip
def test_a_block_is_the_box_it_fills(letter: str, boxes: tuple[object, ...]) -> None:
    assert boxes_of(letter) == boxes


def test_a_line_and_dots_lie_where_they_belong() -> None:
    ((left, top, right, bottom),) = boxes_of("⠁")
    assert right < 0.5 and bottom < 0.25 and min(left, top) > 0
    across, down = boxes_of("╭")
    assert across[2] == 1 and down[3] == 1 and min(across[0], down[1]) > 0.4
    assert len(boxes_of("┈")) == 4 and len(boxes_of("┼")) == 2


def test_a_picture_that_tells_a_place_of_this_machine_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "a.svg").write_text("nothing")
    check_no_places(tmp_path, home)
    (tmp_path / "b.svg").write_text(f"see {home}/x")
    with pytest.raises(SystemExit, match="it shows"):
        check_no_places(tmp_path, home)
