"""The line that says who answers, who beside it, and which demonstrations a question sees."""

from typing import Any, Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Select, Static

from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.protocol import BASE
from yofo_mlx.recipe.ways import WAYS, Way
from yofo_mlx.system.text import shorten

from ..shared.words import MUTED
from .models import ALONE, Adapter, bases_of, choices, choices_beside, model_of, words_of

WAYS_IN_WORDS: Final[dict[Way, str]] = {
    "balanced": "balanced",
    "all": "all that fit",
    "similar": "most similar",
    "tail": "with similar",
    "adaptive": "adaptive",
    "blocks": "blocks",
}


class ModelBar(Horizontal):
    """Who answers, and behind what."""

    DEFAULT_CSS = """
    ModelBar {
        height: 1; padding: 0 1;
        #model { width: 3fr; max-width: 56; }
        #beside { width: 2fr; max-width: 36; margin: 0 0 0 1; }
        #way { width: 18; margin: 0 0 0 1; }
        #who { width: auto; padding: 0 0 0 2; }
        #labels { width: auto; padding: 0 0 0 2; }
    }
    """

    class Changed(Message):
        """Another one is to answer, or behind other demonstrations."""

    class Looked(Message):
        """The recipes of runs were read."""

        def __init__(self, bases: dict[str, str]) -> None:
            super().__init__()
            self.bases = bases

    class Gone(Message):
        """What was chosen is no longer there."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    def __init__(self) -> None:
        super().__init__()
        self._use_adapter = True
        self._offered: dict[str, str] = {}
        self._named: dict[str, str] = {}  # base models and adapters that were asked for by name
        self._bases: dict[str, str] = {}  # of those runs whose recipes were read

    def compose(self) -> ComposeResult:
        """Lay the choices out."""
        yield Select[str](
            [], prompt="choose a run or a base model", compact=True, id="model",
            tooltip="who answers: the adapter of a run, or a base model; letters find one",
        )  # fmt: skip
        yield Select[str](
            [("alone", ALONE)], allow_blank=False, compact=True, id="beside",
            tooltip="who answers beside it, from the same base model in memory",
        )  # fmt: skip
        yield Select[str](
            [(words, way) for way, words in WAYS_IN_WORDS.items() if way in WAYS],
            allow_blank=False, compact=True, id="way",
            tooltip="which demonstrations a question sees",
        )  # fmt: skip
        yield Static(id="who")
        yield Static(id="labels")

    @property
    def model(self) -> Model | None:
        """Return who is to answer, with who is beside it."""
        chosen, beside = self._value("model"), self._value("beside")
        return model_of(chosen, self._use_adapter, beside, self._bases)

    @property
    def way(self) -> Way:
        """Return which demonstrations a question sees."""
        value = self._value("way")
        return next((way for way in WAYS if way == value), "balanced")

    @property
    def is_open(self) -> bool:
        """Tell whether one of its lists is open."""
        return any(select.expanded for select in self.query(Select))

    def close(self) -> None:
        """Close its lists."""
        for select in self.query(Select):
            select.expanded = False

    def offer(self) -> dict[str, str]:
        """Offer the runs there are now; which models they are of takes reading their recipes."""
        self._offered = choices(self._bases) | self._named
        self._choose_again()
        new = [one for one in self._offered if one.startswith("run:") and one not in self._bases]
        if new:
            self.screen.run_worker(
                lambda: self.post_message(self.Looked(bases_of(new))),
                thread=True, exit_on_error=False, group="models",
            )  # fmt: skip
        return self._offered

    def on_model_bar_looked(self, message: Looked) -> None:
        """Offer those models, too, and who has the same one."""
        message.stop()
        if message.bases:
            self._bases |= message.bases
            self._offered = choices(self._bases) | self._named
            self._choose_again()

    def _choose_again(self) -> None:
        """Offer what there is, and leave chosen what was, as far as it is there."""
        chosen, before = self._value("model"), self._value("beside")
        select = self.query_one("#model", Select)
        select.set_options(_options(self._offered))
        if chosen in self._offered:
            select.value = chosen
        elif self._offered:
            select.value = next(iter(self._offered))
            if isinstance(chosen, str):
                now = self._offered[str(select.value)]
                self.post_message(self.Gone(f"{chosen.partition(':')[2]} is gone; chosen is {now}"))
        self._offer_beside(before)

    def choose(self, value: str) -> bool:
        """Let one of those that are offered answer with its adapter; tell if it is there."""
        self._use_adapter = True
        if value not in self.offer():
            return False
        self.query_one("#model", Select).value = value
        return True

    def choose_model(self, name: str) -> None:
        """Let a base model answer, whether a run is known of it or not."""
        self._named[f"model:{name}"] = words_of(name)
        self.choose(f"model:{name}")

    def choose_adapter(self, adapter: Adapter) -> bool:
        """Let an adapter answer on a model that was asked for by name, else on that which it names.

        Where it names none, on the chosen one; tell if there is one.
        """
        value, chosen = f"adapter:{adapter.folder}", str(self._value("model"))
        model = chosen.removeprefix("model:") if chosen.startswith("model:") else None
        by_name = model if chosen in self._named else None
        base = by_name or adapter.base or model or self._bases.get(chosen)
        if base:
            self._bases[value] = base
            self._named[value] = f"{shorten(adapter.folder.name, 40)} (adapter)"
            self.choose(value)
        return bool(base)

    def toggle_adapter(self) -> None:
        """Change between an adapter and its base model, alone."""
        self._use_adapter = not self._use_adapter
        self._tell()

    def toggle_beside(self) -> bool:
        """Let the base model answer beside the adapter, or no longer; tell if there is one."""
        beside = self.query_one("#beside", Select)
        offered = self._beside()
        if len(offered) < 2:
            return False
        if not self._use_adapter:
            self._use_adapter, beside.value = True, BASE
        else:
            beside.value = list(offered)[1] if beside.value == ALONE else ALONE
        self._tell()
        return True

    def toggle_all(self) -> None:
        """Change between all demonstrations that fit and as many as the model was trained on."""
        self.query_one("#way", Select).value = "balanced" if self.way == "all" else "all"

    def show_labels(self, count: int, is_wanted: bool | None) -> None:
        """Say how many labels are compared."""
        said = Content()
        if count:
            said = Content.assemble("labels ", ("●", "$text-success"), f" {count:,}")
        elif is_wanted is False:
            said = Content.styled("labels ○", MUTED)
        self.query_one("#labels", Static).update(said)

    @on(Select.Changed, "#model")
    def _chosen(self) -> None:
        self._offer_beside(self._value("beside"))
        self._tell()

    @on(Select.Changed)
    def _tell(self) -> None:
        model = self.model
        self.query_one("#beside").disabled = not self._use_adapter
        marks = []
        for one in [model, *model.beside] if model else []:
            is_adapter = one.is_adapted
            marks.append(
                Content.styled("● adapter", "$text-success")
                if is_adapter
                else Content.styled("○ base model", MUTED)
            )
        self.query_one("#who", Static).update(Content("  ").join(marks))
        self.post_message(self.Changed())

    def _offer_beside(self, chosen: Any) -> None:
        beside, offered = self.query_one("#beside", Select), self._beside()
        with self.prevent(Select.Changed):
            beside.set_options(_options(offered))
            beside.value = chosen if chosen in offered else ALONE

    def _beside(self) -> dict[str, str]:
        return choices_beside(self._value("model"), self._offered, self._bases)

    def _value(self, id: str) -> Any:
        return self.query_one(f"#{id}", Select).value


def _options(offered: dict[str, str]) -> list[tuple[Content, str]]:
    return [(Content(words), value) for value, words in offered.items()]
