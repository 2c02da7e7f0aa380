"""One's answer to a question: as it comes, the likeliest labels, and what it took."""

from typing import Any, Final

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from yofo_mlx.system.quantities import duration

from ..shared.words import MUTED, muted, number, safe
from .labels import LabelBars, margin, shares
from .models import Speaker

AMBER: Final = "$text-warning"
LONGEST: Final = 20_000  # characters of one text that are drawn


class AnswerPanel(Vertical):
    """Who answers, the answer, bars of labels, and facts."""

    DEFAULT_CSS = """
    AnswerPanel {
        width: 1fr; height: auto; padding: 0 0 0 1; border-left: vkey $success;
        &.-base { border-left: vkey $foreground-muted; }
        Static { height: auto; }
        .head { text-wrap: nowrap; text-overflow: ellipsis; }
        .facts { color: $foreground-muted; }
    }
    """

    def __init__(self, speaker: Speaker) -> None:
        super().__init__()
        self.speaker = speaker
        self.text = ""
        self.result: dict[str, Any] = {}
        self.set_class(not speaker.is_adapted, "-base")

    def compose(self) -> ComposeResult:
        """Lay who, answer and facts out."""
        yield Static(self._head(), classes="head")
        yield Static(muted("…"), classes="answer")
        yield Static(classes="facts")

    def on_mount(self) -> None:
        """Begin without facts."""
        self.query_one(".facts").display = False

    @property
    def shares(self) -> list[tuple[str, float]]:
        """Return the labels' shares, where they were compared."""
        return shares(self.result.get("scores", ()))

    def stream(self, text: str) -> None:
        """Add to the answer."""
        self.text += text
        self.query_one(".answer", Static).update(safe(self.text, LONGEST))

    async def finish(self, result: dict[str, Any]) -> None:
        """Show the whole answer, how sure it is, and what it took."""
        self.result, self.text = result, str(result.get("text", self.text))
        shown = safe(self.text, LONGEST) if self.text else muted("(empty)")
        self.query_one(".answer", Static).update(shown)
        self.query_one(".head", Static).update(self._head())
        remark = Content.styled("not one of the labels\n" if is_outside(result) else "", AMBER)
        self._tell(Content.assemble(remark, safe(" · ".join(facts_of(result)))))
        if found := self.shares:
            style = "$success" if self.speaker.is_adapted else "$foreground-muted"
            await self.mount(LabelBars(found, style), after=self.query_one(".answer"))

    def fail(self, what: Content) -> None:
        """Say why there is no (whole) answer."""
        shown = safe(self.text, LONGEST) if self.text else Content("–")
        self.query_one(".answer", Static).update(shown)
        self._tell(what)

    def _tell(self, what: Content) -> None:
        facts = self.query_one(".facts", Static)
        facts.update(what)
        facts.display = bool(what.plain)

    def _head(self) -> Content:
        style = "$text-success" if self.speaker.is_adapted else MUTED
        took = "".join(f" · {part}" for part in pace_of(self.result))
        return Content.assemble(safe(self.speaker.words).stylize(style), (took, MUTED))


def pace_of(result: dict[str, Any]) -> list[str]:
    """Say how long an answer took, and how fast it came."""
    said = []
    if isinstance(seconds := result.get("seconds"), int | float):
        said.append(f"{seconds:.2f} s" if seconds < 10 else duration(seconds))
    if isinstance(speed := result.get("tokens_per_s"), int | float):
        said.append(f"{number(round(speed, 1) if speed < 10 else round(speed))} tok/s")
    return said


def is_outside(result: dict[str, Any]) -> bool:
    """Tell whether labels were compared, and the answer is none of them."""
    labels = {one["label"] for one in result.get("scores", ())}
    return bool(labels) and str(result.get("text", "")) not in labels


def facts_of(result: dict[str, Any]) -> list[str]:
    """Say what was read and written, how clear the labels are, and what there is to note."""
    said = []
    tokens, reused = result.get("prompt_tokens"), result.get("reused")
    if isinstance(tokens, int):
        if isinstance(reused, int) and 0 < reused <= tokens:
            said.append(f"read {tokens - reused:,}, {number(reused)} reused")
        else:
            said.append(f"read {tokens:,}")
        said[-1] += f", wrote {result.get('tokens')}"
    if tail := result.get("tail"):
        said.append(f"{len(tail):,} shots of its own")
    if (lead := margin(result.get("scores", ()))) is not None:
        said.append(f"leads by {lead:.1f} nats")
    if result.get("finish") == "length":
        said.append("cut at the longest answer")
    if note := result.get("note"):
        said.append(str(note))
    return said
