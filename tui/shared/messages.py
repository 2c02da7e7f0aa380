"""What one part of the app asks of another, by way of the app."""

from textual.message import Message


class OpenPath(Message):
    """The user gave a path or a hub id, such as by dropping a file on the terminal: look at it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
