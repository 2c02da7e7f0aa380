"""What is shown in place of the list while there is no run: what to begin with, and on what."""

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Rule, Static
from textual.widgets.option_list import Option

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.system.quantities import size
from yofo_mlx.system.text import reason

from ..shared.table import head
from ..shared.words import MUTED, lines, muted, safe
from .machine import LENGTHS, FittingModel, about_machine, fitting_models

CHOICES = {
    "demo": ("d", "Run the demo", "embedded model, no download, about a minute;"),
    "data": ("a", "Add your data", "CSV, JSONL, Parquet, a folder, or a hub id"),
    "new": ("n", "New run", "from a recipe: mistral, llama3, gemma"),
    "prompt": ("p", "Only prompt", "a base model, with demonstrations you paste"),
}
MORE = {"demo": "you watch it learn, then ask it yourself"}
IDEA = "yofo teaches a model, once, to learn from examples in its context."
GOES_ON = "The demo is a run like any other: closing this app never ends a run."
NAME = 31  # cells of a model's name


class FirstStart(VerticalScroll, can_focus=False):
    """Offers the first steps, and tells what this machine can do."""

    HELP = (
        "Nothing has been trained here yet. The demo trains the embedded model for about a minute: "
        "you see its loss fall and its accuracy rise with the number of demonstrations, and can "
        "prompt it afterwards. Whatever you begin goes on when this app is closed."
    )
    DEFAULT_CSS = """
    FirstStart {
        height: 1fr; align: center middle; background: $background; scrollbar-size-vertical: 1;
        Vertical { width: 76; height: auto; max-width: 100%; }
        #idea { text-style: bold; }
        OptionList {
            height: auto; margin-top: 1; padding: 0; border: none; background: $background;
            background-tint: $background 0%;
        }
        OptionList:focus { border: none; background-tint: $background 0%; }
        Rule { margin: 1 0; color: $panel-lighten-2; }
        #machine { height: auto; }
        #goes-on { margin-top: 1; color: $foreground-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "choose('demo')", "Demo", id="start.demo"),
        Binding("a", "choose('data')", "Add data", id="start.data"),
        Binding("p", "choose('prompt')", "Prompt", id="start.prompt"),
    ]

    class Chosen(Message):
        """The user chose what to begin with: demo, data, new or prompt."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def compose(self) -> ComposeResult:
        """Lay the steps out over the machine."""
        with Vertical():
            yield Static(IDEA, id="idea")
            yield OptionList(*(Option(_step(name), id=name) for name in CHOICES))
            yield Rule()
            yield Static(muted("looking at this machine …"), id="machine")
            yield Static(GOES_ON, id="goes-on")

    def on_mount(self) -> None:
        """Look at the machine."""
        self.query_one(OptionList).highlighted = 0
        self._look()
        self.appear()

    def appear(self) -> None:
        """Show it; keys are for it, unless something else takes them."""
        if not self.display:
            self.display = True
        focused = self.screen.focused
        if (focused is None or not focused.display) and self.query(OptionList):
            self.query_one(OptionList).focus()

    def tell_start(self, words: str) -> None:
        """Say what has begun, until there are no words."""
        told = safe(words).stylize("$text-success") if words else Content(GOES_ON)
        self.query_one("#goes-on", Static).update(told)

    def action_choose(self, what: str) -> None:
        """Begin."""
        self.post_message(self.Chosen(what))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id is not None:
            self.action_choose(event.option.id)

    @work(thread=True, exclusive=True, exit_on_error=False, group="machine")
    def _look(self) -> None:
        about = safe(about_machine())
        self.app.call_from_thread(self._tell, [about, muted("looking for models …")])
        try:
            models = fitting_models()
        except Cancelled:  # the app has been left
            return
        except (OSError, ValueError, YofoError) as error:
            why = safe(f"which models fit is not known: {reason(error)}")
            self.app.call_from_thread(self._tell, [about, why.stylize("$text-warning")])
            return
        self.app.call_from_thread(self._tell, [about, Content(), *model_lines(models)])

    def _tell(self, told: list[Content]) -> None:
        self.query_one("#machine", Static).update(lines(told))


def model_lines(models: list[FittingModel]) -> list[Content]:
    """Return the models below each other: how large, and at which tokens a step fits."""
    lengths = "".join(f"{f'{length // 1024}k':>5}" for length in LENGTHS)
    heading = f"{'model':<{NAME}}{'size':>8}{'tokens':>9}{lengths}"
    return [muted(heading), *(_model_line(model) for model in models)]


def _model_line(model: FittingModel) -> Content:
    up_to = "–" if model.up_to is None else f"{model.up_to:,}"
    marks = [("    ✓", "$text-success") if fits else ("    –", MUTED) for fits in model.fits]
    here = ("  on disk", "") if model.is_here else ("  to download", MUTED)
    name = f"{head(model.name, NAME - 1):<{NAME}}"
    return Content.assemble(name, f"{size(model.nbytes):>8}{up_to:>9}", *marks, here)


def _step(name: str) -> Content:
    key, words, about = CHOICES[name]
    first = Content.assemble((f" {key} ", "bold $text-accent"), f" {words:<16}", (about, MUTED))
    if name not in MORE:
        return first
    return lines([first, muted(f"{'':<20}{MORE[name]}")])
