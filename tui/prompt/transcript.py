"""Questions and answers, newest at the bottom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from ..shared.copying import copy
from ..shared.words import safe
from .answers import LONGEST, AnswerPanel
from .models import Speaker
from .pasted import Unsaved, saved_answers

MOST: Final = 200  # exchanges shown
NEAR_BOTTOM: Final = 3  # lines from the end at which new text still pulls the view along
COLUMNS: Final = 60  # cells from which answers stand beside each other
SURE: Final = 0.9  # share of a label from which it is counted as certain


@dataclass
class Said:
    """A question and its answers, in words; kept when they are no longer shown."""

    question: str
    answers: tuple[tuple[str, str], ...]  # who, and what
    is_saved: bool = False


class Exchange(Vertical):
    """One question, and what each of those asked answers."""

    DEFAULT_CSS = """
    Exchange {
        height: auto; margin: 0 0 1 0; padding: 0 1;
        &.-chosen { background: $primary 15%; }
        &.-same-model .model { display: none; }
        .model { height: auto; color: $text-primary; }
        .question { height: auto; text-style: bold; }
        Container { height: auto; layout: vertical; }
        &.-columns Container { layout: horizontal; }
    }
    """

    def __init__(self, question: str, speakers: Sequence[Speaker], model: str) -> None:
        super().__init__()
        self.question, self.model = question, model
        self.panels = {one.subject: AnswerPanel(one) for one in speakers}
        self.is_saved = self.is_done = False
        self._speaking = speakers[0].subject
        self.set_class(not speakers[0].is_adapted, "-base")

    def compose(self) -> ComposeResult:
        """Lay the question out, and the answers below it."""
        yield Static(safe(self.model, 80), classes="model")
        yield Static(safe(f"▸ {self.question}", LONGEST), classes="question")
        with Container():
            yield from self.panels.values()

    @property
    def first(self) -> AnswerPanel:
        """Return what the first one answers."""
        return next(iter(self.panels.values()))

    @property
    def answer(self) -> str:
        """Return the first one's answer."""
        return self.first.text

    @property
    def in_words(self) -> str:
        """Return the answers as text; of several, each below who gave it."""
        if len(self.panels) == 1:
            return self.answer
        return "\n\n".join(f"{one.speaker.words}: {one.text}" for one in self.panels.values())

    def turn(self, subject: str) -> None:
        """Take what comes for this one's answer."""
        self._speaking = subject if subject in self.panels else self._speaking

    def stream(self, text: str, subject: str | None = None) -> None:
        """Add to an answer."""
        self.turn(subject or self._speaking)
        self.panels[self._speaking].stream(text)

    async def finish(self, answers: dict[str, dict[str, Any]]) -> None:
        """Show the whole answers and what they took."""
        self.is_done = True
        for subject, result in answers.items():
            await self.panels[subject].finish(result)

    def fail(self, what: Content) -> None:
        """Say why there is no (whole) answer: at the one whose turn it was."""
        self.panels[self._speaking].fail(what)

    def on_resize(self, event: events.Resize) -> None:
        """Put answers beside each other where there is room."""
        self.set_class(len(self.panels) > 1 and event.size.width >= COLUMNS, "-columns")

    @property
    def said(self) -> Said:
        """Return it in words."""
        told = ((f"{self.model}, {one.speaker.words}", one.text) for one in self.panels.values())
        return Said(self.question, tuple(pair for pair in told if pair[1]), self.is_saved)


class Transcript(VerticalScroll):
    """The exchanges of this sitting; follows the end unless the user has scrolled up."""

    DEFAULT_CSS = """
    Transcript {
        scrollbar-size-vertical: 1; border: round $foreground 30%;
        border-title-color: $foreground-muted; border-subtitle-color: $foreground-muted;
        &:focus { border: round $primary; border-title-color: $text-primary; }
        .empty { height: 1fr; padding: 1 2; color: $foreground-muted; }
        .earlier { height: auto; padding: 0 1; color: $foreground-muted; display: none; }
    }
    """
    HELP = """Questions and answers. `j` and `k` choose one, `y` copies its answer, `e` puts its
question back to be changed and asked again. `ctrl+s` writes all of them as Markdown."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "choose(1)", "Next answer", show=False, id="transcript.next"),
        Binding("k,up", "choose(-1)", "Answer before", show=False, id="transcript.before"),
        Binding("g,home", "choose(-1000000)", "First answer", show=False, id="transcript.first"),
        Binding("G,end", "choose(1000000)", "Last answer", show=False, id="transcript.last"),
        Binding("e,enter", "again", "Edit question", id="transcript.again"),
    ]

    class Again(Message):
        """The user wants to change a question and ask it again."""

        def __init__(self, question: str) -> None:
            super().__init__()
            self.question = question

    def __init__(self, empty: Content) -> None:
        super().__init__()
        self._empty = empty
        self._gone: list[Said] = []  # no longer shown
        self._chosen: Exchange | None = None

    def compose(self) -> ComposeResult:
        """Start with what to do."""
        yield Static(classes="earlier")
        yield Static(self._empty, classes="empty")

    def on_mount(self) -> None:
        """Name the pane."""
        self.border_title = "Answers"

    @property
    def exchanges(self) -> list[Exchange]:
        """Return all exchanges that are shown, oldest first."""
        return list(self.query(Exchange))

    @property
    def unsaved(self) -> int:
        """Return how many answers are in no file."""
        return sum(len(one.answers) for one in self._all() if not one.is_saved)

    def to_save(self) -> Unsaved | None:
        """Return what a file would hold."""

        def remember() -> None:
            for gone in self._gone:
                gone.is_saved = True
            for one in self.exchanges:
                one.is_saved = True

        rows = [(one.question, one.answers) for one in self._all() if one.answers]
        return saved_answers(rows, remember) if rows else None

    def _all(self) -> list[Said]:
        return [*self._gone, *(one.said for one in self.exchanges)]

    async def add(self, exchange: Exchange) -> None:
        """Append an exchange; beyond so many the oldest are no longer shown, which is told."""
        there = self.exchanges
        exchange.set_class(bool(there) and there[-1].model == exchange.model, "-same-model")
        self.query(".empty").remove()
        for old in there[: -(MOST - 1)]:
            self._gone.append(old.said)
            old.remove()
        if self._gone:
            earlier = self.query_one(".earlier", Static)
            earlier.update(f"{len(self._gone):,} earlier ones: ctrl+s saves them as well")
            earlier.display = True
        await self.mount(exchange)
        self.scroll_end(animate=False)

    def follow(self) -> None:
        """Stay at the end, if the view is there; say in the frame what came out so far."""
        self.border_title = summary(self.exchanges) or "Answers"
        if self.max_scroll_y - self.scroll_y <= NEAR_BOTTOM:
            self.scroll_end(animate=False)

    async def forget(self) -> None:
        """Forget everything said."""
        self._gone, self._chosen = [], None
        self.query_one(".earlier").display = False
        await self.query(Exchange).remove()
        self.border_title = "Answers"
        if not self.query(".empty"):
            await self.mount(Static(self._empty, classes="empty"))

    @property
    def chosen(self) -> Exchange | None:
        """Return the exchange that keys are about: the one chosen, else the newest."""
        there = self.exchanges
        return self._chosen if self._chosen in there else there[-1] if there else None

    def action_choose(self, by: int) -> None:
        """Choose an exchange, so many further on; the first key chooses the newest."""
        there = self.exchanges
        if not there:
            return
        at = there.index(self._chosen) + by if self._chosen in there else len(there) - 1
        self._choose(there[min(max(at, 0), len(there) - 1)])

    def _choose(self, exchange: Exchange) -> None:
        for one in self.exchanges:
            one.set_class(one is exchange, "-chosen")
        self._chosen = exchange
        self.scroll_to_widget(exchange, animate=False)

    def on_click(self, event: events.Click) -> None:
        """Choose what is clicked at."""
        around = event.widget.ancestors_with_self if event.widget else ()
        for found in around:
            if isinstance(found, Exchange):
                self._choose(found)

    def on_blur(self) -> None:
        """Choose nothing: keys are about the newest again."""
        self._chosen = None
        self.query(Exchange).remove_class("-chosen")

    def action_again(self) -> None:
        """Let the chosen question be changed and asked again."""
        if (chosen := self.chosen) is not None:
            self.post_message(self.Again(chosen.question))

    def copy(self) -> None:
        """Copy the chosen answer."""
        chosen = self.chosen
        copy(self, chosen.in_words if chosen else "", "answer")


def summary(exchanges: Sequence[Exchange]) -> str:
    """Say in how many the answers were the same, and how many were certain."""
    done = [one for one in exchanges if one.is_done]
    if not done:
        return ""
    said = [f"{len(done):,} asked"]
    if several := [one for one in done if len(one.panels) > 1]:
        same = sum(len({panel.text for panel in one.panels.values()}) == 1 for one in several)
        said.append(f"same answer in {same:,} of {len(several):,}")
    if found := [one.first.shares for one in done if one.first.shares]:
        sure = sum(shares[0][1] > SURE for shares in found)
        said.append(f"p > {SURE:.1f} in {sure:,} of {len(found):,}".replace("0.", ".", 1))
    return " · ".join(said)
