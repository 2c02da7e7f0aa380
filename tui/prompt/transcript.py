"""Questions and answers, newest at the bottom."""

from typing import Any, Final

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from yofo_mlx.system.quantities import duration

from ..shared.words import muted, number, safe
from .pasted import Unsaved, saved_answers

MOST: Final = 200  # exchanges kept
NEAR_BOTTOM: Final = 3  # lines from the end at which new text still pulls the view along
LONGEST: Final = 20_000  # characters of one text that are drawn


class Exchange(Vertical):
    """One question, its answer as it comes, and the facts about it."""

    DEFAULT_CSS = """
    Exchange { height: auto; margin: 0 0 1 0; padding: 0 1; }
    Exchange Static { height: auto; }
    Exchange .model { color: $text-primary; }
    Exchange.-same-model .model { display: none; }
    Exchange .question { text-style: bold; }
    Exchange .answer { border-left: vkey $success; padding-left: 1; }
    Exchange.-base .answer { border-left: vkey $foreground-muted; }
    Exchange .facts { color: $foreground-muted; padding-left: 2; }
    """

    def __init__(self, question: str, who: str, model: str) -> None:
        super().__init__()
        self.question, self.answer, self.model, self.who = question, "", model, who
        self.is_saved = False
        self.set_class(who != "adapter", "-base")

    def compose(self) -> ComposeResult:
        """Lay question, answer and facts out."""
        yield Static(safe(self.model, 80), classes="model")
        yield Static(safe(self.question, LONGEST), classes="question")
        yield Static(muted("…"), classes="answer")
        yield Static(Content(self.who), classes="facts")

    def stream(self, text: str) -> None:
        """Add to the answer."""
        self.answer += text
        self.query_one(".answer", Static).update(safe(self.answer, LONGEST))

    def finish(self, result: dict[str, Any]) -> None:
        """Show the whole answer and what it took."""
        self.answer = str(result.get("text", self.answer))
        shown = safe(self.answer, LONGEST) if self.answer else muted("(empty)")
        self.query_one(".answer", Static).update(shown)
        facts = [self.who]
        if (read := result.get("prompt_tokens")) is not None:
            facts.append(f"{read} tokens in, {result.get('tokens')} out")
        if isinstance(speed := result.get("tokens_per_s"), int | float):
            facts.append(f"{number(speed)} tokens/s")
        if isinstance(seconds := result.get("seconds"), int | float):
            facts.append(f"{seconds:.2f} s" if seconds < 10 else duration(seconds))
        if result.get("finish") == "length":
            facts.append("cut at the longest answer")
        if note := result.get("note"):
            facts.append(str(note))
        self.query_one(".facts", Static).update(safe(" · ".join(facts)))

    def fail(self, what: Content) -> None:
        """Say why there is no (whole) answer."""
        answer = self.query_one(".answer", Static)
        answer.update(safe(self.answer, LONGEST) if self.answer else Content("–"))
        self.query_one(".facts", Static).update(what)


class Transcript(VerticalScroll):
    """The exchanges of this sitting; follows the end unless the user has scrolled up."""

    can_focus = False  # page up and page down in the question's field leaf through it

    DEFAULT_CSS = """
    Transcript { scrollbar-size-vertical: 1; }
    Transcript .empty { height: 1fr; padding: 1 2; color: $foreground-muted; }
    """

    def __init__(self, empty: Content) -> None:
        super().__init__()
        self._empty = empty

    def compose(self) -> ComposeResult:
        """Start with what to do."""
        yield Static(self._empty, classes="empty")

    @property
    def exchanges(self) -> list[Exchange]:
        """Return all exchanges, oldest first."""
        return list(self.query(Exchange))

    @property
    def unsaved(self) -> int:
        """Return how many answers are in no file."""
        return len([one for one in self._answers() if not one.is_saved])

    def to_save(self) -> Unsaved | None:
        """Return what a file would hold."""

        def remember() -> None:
            for one in answers:
                one.is_saved = True

        answers = self._answers()
        rows = [(one.question, one.answer, f"{one.model}, {one.who}") for one in answers]
        return saved_answers(rows, remember) if rows else None

    def _answers(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.answer]

    async def add(self, exchange: Exchange) -> None:
        """Append an exchange, forgetting the oldest when there are too many."""
        said = self.exchanges
        exchange.set_class(bool(said) and said[-1].model == exchange.model, "-same-model")
        self.query(".empty").remove()
        for old in said[: -(MOST - 1)]:
            old.remove()
        await self.mount(exchange)
        self.scroll_end(animate=False)

    def follow(self) -> None:
        """Stay at the end, if the view is there."""
        if self.max_scroll_y - self.scroll_y <= NEAR_BOTTOM:
            self.scroll_end(animate=False)

    async def forget(self) -> None:
        """Forget everything said."""
        await self.query(Exchange).remove()
        if not self.query(".empty"):
            await self.mount(Static(self._empty, classes="empty"))
