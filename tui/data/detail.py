"""One data set in full: columns, labels, examples, problems."""

import shlex

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from yofo_mlx.system.quantities import plural

from ..shared.recipes import near
from ..shared.words import MUTED, lines, muted, one_line, safe
from .sets import DataSet, Finding


class DataDetail(VerticalScroll):
    """Shows the selected data set."""

    DEFAULT_CSS = "DataDetail { padding: 0 1; scrollbar-size-vertical: 1; }"

    def compose(self) -> ComposeResult:
        """Start empty."""
        yield Static()

    def show(self, data: DataSet | None, words: Content, whole: str = "") -> None:
        """Show a data set, or words where there is none; `whole`: what `data check` takes."""
        self.query_one(Static).update(words if data is None else page(data, whole))

    def scroll_to_top(self) -> None:
        """Start reading at the top again."""
        self.scroll_home(animate=False)


def page(data: DataSet, whole: str) -> Content:
    """Return everything about a data set."""
    said = [
        Content.assemble(
            safe(data.name, 80).stylize("bold"),
            "  ",
            one_line(near(data.place), 120).stylize(MUTED),
        ),
        *_facts(data),
        *_problems(data, whole),
        *_examples(data),
    ]
    return lines(said)


def _facts(data: DataSet) -> list[Content]:
    facts: list[Content] = []
    if data.columns:
        facts.append(_fact("columns", one_line(data.columns, 160)))
    if data.instruction:
        facts.append(_fact("instruction", one_line(data.instruction, 160)))
    if data.labels:
        shown = ", ".join(f"{label} {times}" for label, times in data.labels)
        more = ", …" if data.label_count > len(data.labels) else ""
        facts.append(_fact(plural(data.label_count, "label"), one_line(shown + more, 500)))
    facts += [_fact("read", one_line(note, 200)) for note in data.notes]
    return facts


def _fact(name: str, value: Content) -> Content:
    return Content.assemble((f"{name}: ", MUTED), value)


def _problems(data: DataSet, whole: str) -> list[Content]:
    if not data.problems:
        return [Content.styled("✓ no problems found", "$text-success")] if sum(data.counts) else []
    parts = [plural(data.errors, "error")] * bool(data.errors)
    parts += [plural(data.warnings, "warning")] * bool(data.warnings)
    style = "bold $text-error" if data.errors else "bold $text-warning"
    said = [Content(""), Content.styled(" and ".join(parts), style)]
    hint = ""
    for problem in data.problems:
        said += _problem(problem, hint)
        hint = problem.hint
    if (more := data.errors + data.warnings - len(data.problems)) > 0:
        command = f"yofo data check --all {shlex.quote(near(whole))}"
        said.append(muted(safe(f"and {more:,} more: `{command}` lists all", 500).plain))
    return said


def _problem(problem: Finding, hint_before: str) -> list[Content]:
    """Return a problem's line, and its hint's unless that was just given."""
    mark, style = ("✗ ", "$text-error") if problem.is_error else ("! ", "$text-warning")
    place = one_line(near(problem.place), 120).stylize(MUTED)
    said = [Content.assemble((mark, style), place, "  ", safe(near(problem.message), 400))]
    if problem.hint and problem.hint != hint_before:
        said.append(Content("  ") + safe(problem.hint, 300))
    return said


def _examples(data: DataSet) -> list[Content]:
    said: list[Content] = []
    for number, (text, answer) in enumerate(data.examples, start=1):
        heading = Content.styled(f"example {number}", "bold")
        shown = Content.assemble(("→ ", "$text-accent"), safe(answer, 600))
        said += [Content(""), heading, safe(text, 600), shown]
    return said
