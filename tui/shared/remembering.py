"""An app that begins as it was left: theme, place, and keys of the user's own."""

import os
from collections.abc import Iterable
from typing import Any

from textual import work
from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.theme import Theme

from yofo_mlx.system.text import reason

from .choices import Choices
from .jumping import Jumping
from .telling import Telling
from .words import one_line, safe


class Remembering(Jumping, Telling):
    """Keeps choices in `app.toml`; they are obeyed from the first frame on."""

    def __init__(self) -> None:
        super().__init__()
        self.choices = Choices()
        self._told: set[str] = set()  # of what does not work
        self._theme_before = self.theme

    def wear(self) -> None:
        """Take the theme that was chosen; one of the environment comes first."""
        theme = self.choices.get("look", "theme", "")
        if theme in self.available_themes and "TEXTUAL_THEME" not in os.environ:
            self.set_reactive(App.theme, theme)
        self._theme_before = self.theme

    def on_mount(self) -> None:
        """Follow what is chosen, and obey what was."""
        if self.choices.trouble:
            self._tell(f"{self.choices.trouble}; it is left as it is, and nothing is remembered")
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        if keys := self.choices.section("keys"):
            self.set_keymap({name: key for name, key in keys.items() if isinstance(key, str)})
            self._look_for_strangers(keys)

    @work(thread=True, exit_on_error=False, group="choices")
    def keep(self, section: str, key: str, value: object) -> None:
        """Remember a choice; say so if that does not work."""
        try:
            self.choices.keep(section, key, value)
        except (OSError, ValueError) as error:
            self.call_from_thread(self._tell, f"app.toml cannot be written: {reason(error)}")

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Say which keys of app.toml mean two things at once."""
        names = ", ".join(sorted(binding.id or binding.action for binding in clashed_bindings))
        self._tell(f"one key for two things: {names}; change [keys] in app.toml")

    def ids(self) -> Iterable[str]:
        """Return the names that keys can be given to; asked in a thread."""
        return ()

    @work(thread=True, exit_on_error=False, group="keys")
    def _look_for_strangers(self, keys: dict[str, Any]) -> None:
        """Say which names in [keys] are none, and which have no key."""
        known = set(self.ids())
        wrong = [name for name, key in keys.items() if name not in known or type(key) is not str]
        if wrong:
            words = f"[keys] in app.toml: {', '.join(sorted(wrong))} is no name with a key"
            self.call_from_thread(self._tell, f"{words}; ? and then i shows the names")

    def _theme_changed(self, theme: Theme) -> None:
        if theme.name != self._theme_before:
            self._theme_before = theme.name
            self.keep("look", "theme", theme.name)

    def _tell(self, words: str) -> None:
        if words not in self._told:
            self._told.add(words)
            shown = one_line(safe(words).plain, 400).plain
            self.notify(shown, title="Choices", severity="warning", markup=False)
