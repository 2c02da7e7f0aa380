"""What one part of the app asks of another, by way of the app."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from textual.message import Message


class OpenPath(Message):
    """The user gave a path or a hub id, such as by dropping a file on the terminal: look at it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class TrainOn(Message):
    """The user wants a new run of a recipe, and with these data sets if there are any."""

    def __init__(self, sources: list[Any], recipe: Path | None = None) -> None:
        super().__init__()
        self.sources = sources  # of the recipe's schema: TaskSource
        self.recipe = recipe  # None: the first there is


@runtime_checkable
class TakesData(Protocol):
    """A screen on which a new run is made."""

    def train_on(self, sources: list[Any], recipe: Path | None) -> None:
        """Offer a run of a recipe, with these data sets."""


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
