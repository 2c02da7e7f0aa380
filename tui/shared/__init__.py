"""What the places share: dialogs, tables, charts, words."""

__all__ = [
    "chart",
    "choices",
    "confirm",
    "curve",
    "dialog",
    "help",
    "meter",
    "places",
    "recipes",
    "recovery",
    "table",
    "words",
]
