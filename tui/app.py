"""The app's shell: three places, the keys that lead there, help, and the command palette.

yofo                 opens it
python -m tui.app    the same, from a checkout
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from tui.screens.data import DataScreen
from tui.screens.help import HelpScreen, key_table
from tui.screens.prompt import PromptScreen
from tui.screens.runs import OpenInPrompt, RunsScreen


class YofoApp(App[None]):
    """Three places; closing the app never ends a run."""

    TITLE = "yofo"
    CSS = "Footer { background: $panel; }"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "data": DataScreen,
        "runs": RunsScreen,
        "prompt": PromptScreen,
    }
    DEFAULT_MODE = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1,f2,d", "place('data')", "Data sets", id="place.data", show=False),
        Binding("2,f3,r", "place('runs')", "Runs", id="place.runs", show=False),
        Binding("3,f4,p", "place('prompt')", "Prompt", id="place.prompt", show=False),
        Binding("f1,question_mark", "help", "Help", id="app.help", key_display="?"),
        Binding("q", "quit", "Quit", id="app.quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]

    def action_place(self, name: str) -> None:
        """Go to a place, unless a dialog is open."""
        if len(self.screen_stack) == 1 and name != self.current_mode:
            self.switch_mode(name)

    def action_help(self) -> None:
        """Show the keys that apply here."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(key_table(self.screen)))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every key's action in the command palette, beside Textual's own commands."""
        yield from super().get_system_commands(screen)
        for row in key_table(screen):
            if row.node is screen or row.node is self:
                run = self._runner(row.action, row.node)
                yield SystemCommand(row.words, row.tooltip or f"Key: {row.keys}", run)

    @on(OpenInPrompt)
    async def _open_in_prompt(self, message: OpenInPrompt) -> None:
        await self.switch_mode("prompt")
        if isinstance(self.screen, PromptScreen):
            self.screen.choose(message.run)

    def _runner(self, action: str, node: object) -> Callable[[], object]:
        namespace = self if node is self else self.screen
        return lambda: self.call_later(self.run_action, action, namespace)


def main() -> None:
    """Run the app until the user quits."""
    YofoApp().run()


if __name__ == "__main__":
    main()
