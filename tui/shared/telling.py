"""An app whose complaints stay until they can be read."""

from typing import Any, Final

from textual.app import App

TOLD_S: Final = {"warning": 10.0, "error": 20.0}  # seconds; news go by Textual's own


class Telling(App[None]):
    """What went wrong often comes long after the key for it, while one looks elsewhere."""

    def notify(
        self, message: str, *, severity: Any = "information", timeout: float | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        """Show a message, a complaint for longer."""
        seconds = TOLD_S.get(severity) if timeout is None else timeout
        super().notify(message, severity=severity, timeout=seconds, **options)
