"""What the places share: dialogs, tables, charts, words."""

__all__ = [
    "blocks",
    "chart",
    "confirm",
    "copying",
    "curve",
    "dialog",
    "dropped",
    "help",
    "keys",
    "messages",
    "meter",
    "palette",
    "places",
    "recipes",
    "recovery",
    "remembering",
    "state_line",
    "table",
    "words",
]
