"""What is mended of Textual holds."""

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from tui.mends import mend_textual


class Words(App[None]):
    """A line of words, as high as they are."""

    CSS = "Static { height: auto; }"

    def compose(self) -> ComposeResult:
        """Lay them out."""
        yield Static("one line")


@pytest.mark.asyncio
async def test_words_that_grow_while_the_screen_is_laid_out_are_seen_whole() -> None:
    mend_textual()
    app = Words()
    async with app.run_test() as pilot:
        words = app.query_one(Static)
        words.update("another line")
        app.screen._refresh_layout()
        words.update("one line\nand a second")
        await pilot.pause()
        assert words.size.height == 2
