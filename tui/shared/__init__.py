"""What the places share: dialogs, tables, charts, words."""

__all__ = [
    "blocks",
    "chart",
    "choices",
    "confirm",
    "copying",
    "curve",
    "dialog",
    "editor",
    "help",
    "keys",
    "messages",
    "meter",
    "places",
    "recipes",
    "recovery",
    "state_line",
    "table",
    "words",
]
