"""What one part of the app asks of another, by way of the app."""

from typing import Any

from textual.message import Message


class OpenPath(Message):
    """The user gave a path or a hub id, such as by dropping a file on the terminal: look at it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class TrainOn(Message):
    """The user wants a new run with these data sets."""

    def __init__(self, sources: list[Any]) -> None:
        super().__init__()
        self.sources = sources  # of the recipe's schema: TaskSource


class PromptWith(Message):
    """The user wants demonstrations: a text of them, as one might have pasted it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class PromptModel(Message):
    """The user wants to ask this base model in Prompt."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
