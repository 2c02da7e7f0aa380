"""One data set in full: columns, labels, examples, problems."""

import os
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.datasets import DataSet
from tui.words import MUTED, count, lines, muted, one_line, safe
from yofo_mlx.tasks.problems import Problem

SHOWN_LABELS = 24


class DataDetail(VerticalScroll):
    """Shows the selected data set."""

    DEFAULT_CSS = "DataDetail { padding: 0 1; scrollbar-size-vertical: 1; }"

    def compose(self) -> ComposeResult:
        """Start empty."""
        yield Static()

    def show(self, data: DataSet | None, words: Content) -> None:
        """Show a data set, or words where there is none."""
        self.query_one(Static).update(words if data is None else describe(data))

    def scroll_to_top(self) -> None:
        """Start reading at the top again."""
        self.scroll_home(animate=False)


def describe(data: DataSet) -> Content:
    """Return everything about a data set."""
    said = [
        Content.assemble(
            safe(data.name, 80).stylize("bold"),
            "  ",
            one_line(_near(data.source.source), 120).stylize(MUTED),
        ),
        *_facts(data),
        *_problems(data),
        *_examples(data),
    ]
    return lines(said)


def _facts(data: DataSet) -> list[Content]:
    facts: list[Content] = []
    if data.columns:
        facts.append(_fact("columns", one_line(data.columns, 160)))
    if data.source.instruction:
        facts.append(_fact("instruction", one_line(data.source.instruction, 160)))
    if data.labels:
        shown = ", ".join(f"{label} {times}" for label, times in data.labels[:SHOWN_LABELS])
        more = ", …" if len(data.labels) > SHOWN_LABELS else ""
        labels = one_line(shown + more, 500)
        facts.append(_fact(count(len(data.labels), "label"), labels))
    return facts


def _fact(name: str, value: Content) -> Content:
    return Content.assemble((f"{name}: ", MUTED), value)


def _problems(data: DataSet) -> list[Content]:
    if not data.problems:
        return [Content.styled("✓ no problems found", "$text-success")] if sum(data.counts) else []
    parts = [count(data.errors, "error")] * bool(data.errors)
    parts += [count(data.warnings, "warning")] * bool(data.warnings)
    style = "bold $text-error" if data.errors else "bold $text-warning"
    said = [Content(""), Content.styled(" and ".join(parts), style)]
    hint = ""
    for problem in data.problems:
        said += _problem(problem, hint)
        hint = problem.hint
    if (more := data.errors + data.warnings - len(data.problems)) > 0:
        said.append(muted(f"and {more:,} more: `yofo data check --all` lists all"))
    return said


def _problem(problem: Problem, hint_before: str) -> list[Content]:
    """Return a problem's line, and its hint's unless that was just given."""
    style = "$text-error" if problem.severity == "error" else "$text-warning"
    mark = "✗ " if problem.severity == "error" else "! "
    place = one_line(_near(str(problem.place)), 120).stylize(MUTED)
    said = [Content.assemble((mark, style), place, "  ", safe(_near(problem.message), 400))]
    if problem.hint and problem.hint != hint_before:
        said.append(Content("  ") + safe(problem.hint, 300))
    return said


def _near(text: str) -> str:
    """Leave out the folder we are in."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")


def _examples(data: DataSet) -> list[Content]:
    said: list[Content] = []
    for number, pair in enumerate(data.examples, start=1):
        heading = Content.styled(f"example {number}", "bold")
        answer = Content.assemble(("→ ", "$text-accent"), safe(pair.output, 600))
        said += [Content(""), heading, safe(pair.input, 600), answer]
    return said
