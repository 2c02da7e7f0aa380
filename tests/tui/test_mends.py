"""What is mended of Textual holds."""

from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.css import stylesheet
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


@pytest.mark.asyncio
async def test_style_sheets_are_parsed_once_for_the_same_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mend_textual()
    parse, parsed = stylesheet.parse, list[str]()

    def noted(scope: str, css: str, *given: Any, **about: Any) -> Any:
        parsed.append(css)
        return parse(scope, css, *given, **about)

    monkeypatch.setattr(stylesheet, "parse", noted)
    app = Words()
    app.CSS += " Static { width: 12; }"  # as no other test has it
    async with app.run_test() as pilot:
        assert parsed.count(app.CSS) == 1
        app.stylesheet.reparse()
        assert parsed.count(app.CSS) == 1
        app.theme = "nord"
        await pilot.pause()
        assert parsed.count(app.CSS) == 2
        assert app.query_one(Static).size.width == 12
