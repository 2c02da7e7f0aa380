"""What is mended of Textual holds."""

from typing import Any, ClassVar

import pyte
import pytest
from textual._compositor import ChopsUpdate, Compositor, LayoutUpdate
from textual.app import App, ComposeResult
from textual.css import stylesheet
from textual.css.stylesheet import Stylesheet
from textual.message import Message
from textual.screen import ModalScreen, Screen
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


class Coloured(Screen[None]):
    """A place whose words have a colour of the theme."""

    CSS = "Static { color: $primary; }"

    def compose(self) -> ComposeResult:
        """Lay the words out."""
        yield Static("words")


class TwoPlaces(App[None]):
    """Two places of one kind."""

    MODES: ClassVar = {"one": Coloured, "two": Coloured}
    DEFAULT_MODE = "one"


class Nothing(Message):
    """A message that changes nothing."""


class Over(ModalScreen[None]):
    """A dialog through which what is below is seen."""

    CSS = "Over { background: $background 60%; }"


def calls_of(kind: type, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each call of a method from now on."""
    calls: list[str] = []
    method = getattr(kind, name)

    def counted(self: object, *values: object, **options: object) -> object:
        calls.append(name)
        return method(self, *values, **options)

    monkeypatch.setattr(kind, name, counted)
    return calls


@pytest.mark.asyncio
async def test_a_place_one_comes_back_to_is_styled_anew_only_for_another_theme(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mend_textual()
    app = TwoPlaces()
    async with app.run_test() as pilot:
        for name in ("two", "one", "two", "one"):  # once more, as a new place has no styles yet
            await app.switch_mode(name)
            await pilot.pause()
        words = app.screen.query_one(Static)
        before = words.styles.color
        styled = calls_of(Stylesheet, "apply", monkeypatch)
        for name in ("two", "one"):
            await app.switch_mode(name)
            await pilot.pause()
        assert not styled
        await app.switch_mode("two")
        app.theme = "nord"
        await pilot.pause()
        await app.switch_mode("one")
        await pilot.pause()
        assert styled and words.styles.color not in (before, None)


@pytest.mark.asyncio
async def test_what_lies_behind_a_dialog_is_laid_out_for_another_size_only() -> None:
    mend_textual()
    app = Words()
    async with app.run_test() as pilot:
        below = app.screen
        await pilot.pause()
        laid_out: list[object] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(below, "_refresh_layout", lambda *given, **_: laid_out.append(given))
            await app.push_screen(Over())
            await pilot.pause()
        assert not laid_out
        await pilot.resize_terminal(50, 20)
        await pilot.pause()
        assert below.query_one(Static).size.width == 50


@pytest.mark.asyncio
async def test_what_shines_through_a_dialog_is_not_drawn_where_nothing_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mend_textual()
    app = Words()
    async with app.run_test() as pilot:
        below, words = app.screen, app.screen.query_one(Static)
        await app.push_screen(Over())
        below.post_message(Nothing())  # what opening it has left to draw
        await pilot.pause(0.3)
        drawn = calls_of(Compositor, "render_update", monkeypatch)
        for _ in range(5):
            below.post_message(Nothing())
            await pilot.pause(0.05)
        assert not drawn
        words.update("other words")
        await pilot.pause(0.1)
        assert drawn
        assert any("other words" in strip.text for strip in app.screen._compositor.render_strips())


def _rows(terminal: pyte.Screen) -> list[str]:
    return [row.rstrip() for row in terminal.display]


def _drawn(app: App[Any]) -> list[str]:
    strips = app.screen._compositor.render_strips()
    return [strip.text[:80].rstrip() for strip in strips]


@pytest.mark.asyncio
async def test_a_terminal_shows_the_screen_though_it_is_told_only_what_is_new(
    pilots: Any, run_folder: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thing the app would write is fed to a terminal, whole screens and changes in turn."""
    terminal = pyte.Screen(80, 24)
    stream, told = pyte.Stream(terminal), list[tuple[bool, int]]()

    def display(app: App[Any], screen: Screen[Any], shown: Any) -> None:
        if isinstance(shown, ChopsUpdate | LayoutUpdate):
            written = shown.render_segments(app.console)
            told.append((isinstance(shown, ChopsUpdate), len(written)))
            stream.feed(written)

    monkeypatch.setattr(App, "_display", display)
    run_folder("one").steps(3)
    folder = run_folder("two").steps(30)
    with folder.trained():
        async with pilots.open(size=(80, 24)) as pilot:
            await until(pilot, lambda: pilot.app.screen.selected is not None)
            for step, key in enumerate(["j", "k", "?", "escape", "enter", "]", "escape", "=", "j"]):
                folder.step(31 + step, 0.1 * step)
                await pilot.press(key)
                await pilot.pause(0.15)
                await until(pilot, lambda: _rows(terminal) == _drawn(pilot.app))  # a clock may tick
    assert (True, 0) in told  # drawn again, though nothing had changed
