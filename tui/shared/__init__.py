"""What the places share: dialogs, tables, charts, words."""

__all__ = [
    "blocks",
    "chart",
    "choices",
    "clock",
    "confirm",
    "copying",
    "curve",
    "dialog",
    "help",
    "messages",
    "meter",
    "places",
    "recipes",
    "recovery",
    "state_line",
    "table",
    "words",
]
