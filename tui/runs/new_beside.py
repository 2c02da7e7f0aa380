"""The panes beside the form of a new run: plan, episode, what the key under the cursor means."""

from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from yofo_mlx.errors import YofoError

from ..shared.recipes import near
from ..shared.words import lines, muted, safe
from .new_draft import Draft
from .new_panes import (
    about_form,
    about_key,
    episode_content,
    episode_line,
    gist,
    plan_content,
    short_plan,
    toml_content,
)
from .new_tables import KEYS, RECIPE, RUN
from .new_words import Words

FAR = "Some of its data sets are on the hub: "


class RunOutlook(Vertical):
    """What the draft would need, an episode of it, and help."""

    def __init__(self) -> None:
        super().__init__(id="beside")
        self._plan: dict[str, Any] | None = None
        self._shown: dict[str, Any] | None = None
        self._error: YofoError | None = None

    def compose(self) -> ComposeResult:
        """Lay the panes out."""
        yield Words(id="plan", classes="pane")
        with VerticalScroll(id="episode", classes="pane"):
            yield Static(id="episode-text")
        yield Words(id="about", classes="pane")

    def on_mount(self) -> None:
        """Name the panes."""
        self.query_one("#plan").border_title = "plan"
        self.query_one("#episode").border_title = "episode"

    def age(self, words: str) -> None:
        """Say that what is shown is of an earlier draft, and what is done about it."""
        self.query_one("#plan").border_subtitle = words

    def hear(self, kind: str, said: Any, draft: Draft) -> None:
        """Show what was found out about a draft."""
        if kind in ("plan", "episode"):
            self.show_plan(said if kind == "plan" else said["plan"], draft)
        if kind == "episode":
            self.show_episode(said)
        elif kind == "wrong":
            self.show_error(said, draft)
        elif kind in ("progress", "end"):
            self.age(said or ("looking …" if kind == "progress" else ""))

    def show_plan(self, facts: dict[str, Any], draft: Draft) -> None:
        """Show a forecast."""
        self._plan, self._error = facts, None
        self.redraw(draft)

    def show_error(self, error: YofoError, draft: Draft) -> None:
        """Show why there is no forecast."""
        self._error = error
        self.redraw(draft)

    def redraw(self, draft: Draft) -> None:
        """Fit the forecast into the room there is."""
        plan = self.query_one("#plan", Words)
        if self._error is not None:
            wrong = safe(self._error.message, 400).stylize("$text-error")
            plan.show(lines([wrong, safe(self._error.hint, 400)]))
        elif self._plan is None:
            plan.show(muted("looking at model and data …"))
        else:
            make = short_plan if self.screen.has_class("-narrow") else plan_content
            plan.show(make(self._plan, draft, plan.content_size.width or 58))

    def show_episode(self, facts: dict[str, Any]) -> None:
        """Show an episode, or why there is none."""
        pane, text = self.query_one("#episode"), self.query_one("#episode-text", Static)
        shown = facts.get("episode")
        if shown is not None:
            pane.border_title = Content.assemble("episode of ", safe(shown["task"], 40))
            pane.border_subtitle = f"{episode_line(shown)} · n next"
            text.update(episode_content(shown))
            pane.scroll_home(animate=False)
            return
        pane.border_title, pane.border_subtitle = "episode", ""
        if wrong := [*facts["wrong"], *_why_not_read(facts["sources"])]:
            text.update(lines([safe(one, 300).stylize("$text-error") for one in wrong]))
        elif any(one["state"] == "on the hub" for one in facts["sources"]):
            text.update(Content.assemble(FAR, ("l", "bold $text-accent"), " reads them."))
        else:
            text.update(muted("There is none until the data sets can be read."))

    def show_about(self, draft: Draft, key: str, wrong: str) -> None:
        """Show what a key means."""
        about = self.query_one("#about", Words)
        about.border_title = {RUN: "the run's name"}.get(key, "" if key == KEYS else key)
        if key in (RUN, RECIPE):
            about.show(about_form(draft, key))
        elif key in ("", KEYS):
            about.show(Content(""))
        elif self.screen.has_class("-narrow"):
            about.show(gist(key))
        else:
            about.show(about_key(draft, key, wrong))


def _why_not_read(sources: list[dict[str, Any]]) -> list[str]:
    """Say of each data set that cannot be read why, and what to do."""
    return [near("\n".join(filter(None, one["why"]))) for one in sources if "why" in one]


class RecipeText(VerticalScroll):
    """The text of the recipe that will be written."""

    HELP = """The recipe as `ctrl+w` saves it, and `y` copies it; in colour what differs from the
one it began with. `ctrl+e` edits the text itself."""

    def __init__(self) -> None:
        super().__init__(id="text", classes="pane")
        self.border_title = "what will be written"

    def compose(self) -> ComposeResult:
        """Begin empty."""
        yield Static()

    def show(self, text: str, before: str) -> None:
        """Show a text, what is new in it marked and in sight."""
        shown, first = toml_content(text, before)
        self.query_one(Static).update(shown)
        self.call_after_refresh(self.scroll_to, y=max(0, first - 3), animate=False)
