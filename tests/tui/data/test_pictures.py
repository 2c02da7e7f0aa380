"""What Data and the dialog that adds to it look like, small and large."""

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from tests.tui.pictures import check_picture
from tui.data.add import AddScreen
from tui.data.screen import DataScreen
from yofo_mlx.preview.process import METHODS

ROWS = {
    "lost_card": ["my card is gone", "where is the card I had", "somebody took my card"],
    "get_pin": ["where is my PIN?", "tell me the code of the card", "no PIN came with it"],
    "refund": ["it charged me two times for one coffee", "give me my money back"],
}
SIZES = ((140, 45), (80, 24))


TOKENS = {
    "rows": 9,
    "tokens": 352,
    "median": 37,
    "shortest": 22,
    "longest": 61,
    "bins": [1, 3, 2, 0, 2, 1],
    "fits": {"4096": 9, "16384": 9, "65536": 9},
    "is_sampled": False,
}


class Preview:
    """Answers here what a process of its own would, but for tokens, which take seconds to load."""

    is_busy = False

    def call(self, method: str, on_progress: Any = None, **params: Any) -> Any:
        return {"sets": {"own": TOKENS}} if method == "tokens" else METHODS[method](**params)

    def close(self) -> None:
        """Nothing to end."""


@pytest.mark.asyncio
async def test_data_and_the_mapper_look_as_they_did(
    pilots: Any, until: Any, shown: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.data.add.PreviewClient", Preview)
    monkeypatch.setattr("tui.data.looking.PreviewClient", Preview)
    lines = [f"{text},{label},x" for label, texts in ROWS.items() for text in texts]
    again = "my card is gone,get_pin,x"
    (empty_folder / "own.csv").write_text("\n".join(["utterance,intent,note", *lines, again]))
    async with pilots.open("data", size=SIZES[0]) as pilot:
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, AddScreen))
        pilot.app.screen.query_one("#path", Input).value = "own.csv"
        await until(pilot, lambda: "all in 4k" in shown(pilot))
        await looks(pilot, "mapper")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, DataScreen))
        await until(pilot, lambda: "all fit 4k" in shown(pilot))
        await until(pilot, lambda: "where is my PIN?" in shown(pilot))
        await until(pilot, lambda: "what is wrong" in shown(pilot))
        await looks(pilot, "data")


async def looks(pilot: Any, name: str) -> None:
    for width, height in SIZES:
        await pilot.resize_terminal(width, height)
        await pilot.pause()
        await pilot.pause()
        check_picture(pilot.app, f"{name}-{width}x{height}")
    await pilot.resize_terminal(*SIZES[0])
    await pilot.pause()
