"""What is wrong with demonstrations, in words and as a curve: seen in them, and by the model."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from yofo_mlx.prompting.soundness import Pair, Soundness
from yofo_mlx.system.quantities import plural

from ..shared.chart import Axes, Chart, Line
from ..shared.words import lines, muted, number, one_line, percent

HEADINGS: Final = {True: "accuracy on the set itself", False: "nats a token of an answer"}
NOT_READ: Final = "the model has not read them: what it expected shows here once it has"
NAMED: Final = 5  # pairs of rows that are named


class HealthPanel(VerticalScroll, can_focus=False):
    """The learning curve of a set, and what wants a look."""

    DEFAULT_CSS = """
    HealthPanel {
        height: auto; max-height: 50%; border: round $foreground 30%; padding: 0 1;
        border-title-color: $foreground-muted; scrollbar-size-vertical: 1;
        & Chart { height: 8; padding: 0; }
        & Static { height: auto; }
    }
    HealthPanel:focus { border: round $primary; border-title-color: $text-primary; }
    """

    HELP = """How well each stretch of the demonstrations is foretold from those before it: a curve
that is still rising asks for more rows, a flat one has enough. Below stands what wants a look:
contradictions, labels with few rows, an order that gives the answer away. `h` goes back."""

    def compose(self) -> ComposeResult:
        """Lay the curve out over the words."""
        yield Chart("")
        yield Static()

    def on_mount(self) -> None:
        """Name the panel."""
        self.border_title = "health"

    def show(self, facts: dict[str, Any], found: Sequence[Content]) -> None:
        """Show a reading's curve, and these words."""
        chart = self.query_one(Chart)
        line, axes = learning_curve(facts)
        chart.display = len(line.points) > 1
        chart.heading = HEADINGS[axes.y_range is not None]
        chart.show([line], axes, "")
        self.query_one(Static).update(lines(found))


def learning_curve(facts: dict[str, Any]) -> tuple[Line, Axes]:
    """Return how well each stretch was foretold, at the places where the stretches end."""
    curve = facts.get("learning", {}).get("curve", ())
    labelled = bool(curve) and curve[-1]["right"] is not None
    points = []
    for at, stretch in enumerate(curve):
        count = stretch["last"] - stretch["first"] + 1
        value = stretch["right"] / count if labelled else stretch["loss"]
        points.append((float(at), float(value)))
    ticks = tuple((float(at), f"{stretch['last']:,}") for at, stretch in enumerate(curve))
    name = "each row given those before it"
    line = Line(name, tuple(points), "$text-success")
    if labelled:
        return line, Axes(percent, y_range=(0.0, 1.0), ticks=ticks)
    return line, Axes(number, ticks=ticks)


def findings(
    facts: dict[str, Any], suspicious: Sequence[int], sound: Soundness | None, is_changed: bool
) -> Iterator[Content]:
    """Say what wants a look: places are those of the rows, from 0."""
    if not facts:
        yield muted(NOT_READ)
    else:
        told = facts["learning"]["told"]
        since = " · changed since" if is_changed else ""
        yield one_line(f"{told[:1].upper()}{told[1:]}{since}", 400)
        alarms = [words for words in facts["alarms"] if words != told]
        yield from (_amber(words) for words in alarms)
    if suspicious:
        words = f"{plural(len(suspicious), 'row')} contradicted by the others  "
        yield _amber(words) + _keys(("n", "next"), ("x", "drops"), ("u", "undoes"))
    if sound is not None:
        yield from _sound(sound)
    alike = (facts.get("soundness") or {}).get("near_duplicates", ())
    if alike:
        yield muted(f"{plural(len(alike), 'pair')} of inputs nearly the same")


def _sound(sound: Soundness) -> Iterator[Content]:
    if sound.contradictions:
        yield _amber(f"one input, two answers: {_pairs(sound.contradictions)}")
    if sound.doublets:
        yield _amber(f"the same twice: {_pairs(sound.doublets)}")
    if sound.rare:
        names = ", ".join(f"{name} ({count})" for name, count in list(sound.rare.items())[:NAMED])
        more = "" if len(sound.rare) <= NAMED else f" and {len(sound.rare) - NAMED:,} more"
        rare = f"rare among {plural(sound.labels, 'label')}: {names}{more}"
        yield _amber(rare)
    elif sound.labels:
        yield muted(f"{plural(sound.labels, 'label')}, none of them rare")


def _pairs(pairs: Sequence[Pair]) -> str:
    named = ", ".join(f"{one + 1} and {two + 1}" for one, two in pairs[:NAMED])
    return named if len(pairs) <= NAMED else f"{named}, {len(pairs) - NAMED:,} more"


def _amber(words: str) -> Content:
    return Content.assemble(("! ", "$text-warning"), one_line(words, 400))


def _keys(*keys: tuple[str, str]) -> Content:
    parts: list[tuple[str, str] | str] = []
    for key, does in keys:
        parts += [(key, "bold $text-accent"), f" {does}  "]
    return Content.assemble(*parts)
