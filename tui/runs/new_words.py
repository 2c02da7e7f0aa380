"""Words beside a form, which stay where they are while a key is typed."""

from textual.content import Content
from textual.widgets import Static


class Words(Static):
    """Words that are laid out anew only when they are others."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown = Content("")

    def show(self, words: Content) -> None:
        """Show these words."""
        if not self._shown.is_same(words):
            self._shown = words
            self.update(words)
