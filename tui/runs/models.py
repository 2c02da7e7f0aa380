"""Models: those on the disk and a few curated ones, with what of each fits this machine."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import DataTable

from yofo_mlx.recipe.names import EMBEDDED
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.quantities import size

from ..shared.copying import copy
from ..shared.messages import PromptModel
from ..shared.recipes import find_recipes
from ..shared.table import Cell, Column, tail
from ..shared.verb import ask
from ..shared.words import MUTED, lines, muted, number, safe
from .list_page import ListPage, PageRow

WIDE = 100
ON_HUB = "hub"  # what lies there alone
NONE = "–"


@dataclass(frozen=True)
class Model:
    """A model, as `yofo models --json` tells of it."""

    name: str
    where: str
    nbytes: int
    parameters: int | None
    context: int | None
    longest: int | None
    why_not: str
    recipe: str | None
    path: str | None
    fits: dict[str, bool]

    @property
    def is_here(self) -> bool:
        """Tell whether it need not be downloaded."""
        return self.where != ON_HUB


class ModelsScreen(ListPage):
    """What there is to train and to ask; nothing is loaded for it."""

    TITLE = "Models"
    HELP = (
        "Models on this disk, and those that yofo has a recipe for. ✓ under 4k: episodes of 4,096 "
        "tokens can be trained in this machine's memory, by the same forecast that a run is "
        "checked with. Enter asks the base model in Prompt, n begins a run with it."
    )
    EMPTY = muted("There is no model.")
    READING = "looking at the models, and at what fits this machine …"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,p", "prompt", "Prompt", id="models.prompt", tooltip="Ask the base model"),
        Binding("n", "new", "New run", id="models.new", tooltip="Of its recipe, or of tiny's"),
        Binding("f5", "look", "Look again", id="models.look", show=False),
        Binding("y", "copy", "Copy the name", id="models.copy", show=False),
    ]
    known: ClassVar[list[Model] | None] = None  # as it was last looked at

    found: list[Model] | None

    def on_mount(self) -> None:
        """Show what is known, and look again: it takes seconds."""
        super().on_mount()
        if self.known is not None:
            self.found = self.known
            self.draw()

    def gather(self) -> list[Model]:
        """Ask a process, which may load what the app may not."""
        found = [_model(one) for one in json.loads(ask("models", "--json"))]
        type(self).known = found
        return found

    def heading(self, found: list[Model]) -> Content:
        """Say what is on the disk."""
        here = [one for one in found if one.is_here]
        facts = [f"{len(here)} on this disk, {size(sum(one.nbytes for one in here))}"]
        facts.append("✓ episodes that long can be trained here")
        return Content.assemble(("Models  ", "bold"), " · ".join(facts))

    def columns(self) -> list[Column]:
        """Return the columns that there is room for."""
        wide = [Column("context", True), Column("trains up to", True), Column("recipe")]
        return [
            Column("model"),
            Column("where"),
            Column("size", True),
            *(Column(f"{length // 1024}k") for length in _lengths(self.found or [])),
            *(wide if self._is_wide else []),
        ]

    @property
    def _is_wide(self) -> bool:
        return self.size.width >= WIDE

    def rows(self, found: list[Model]) -> list[PageRow]:
        """Return a model each, those on the disk first."""
        return [self._row(one, _lengths(found)) for one in found]

    def _row(self, one: Model, lengths: list[int]) -> PageRow:
        context = f"{one.context:,}" if one.context else NONE
        wide = [Cell(context), Cell(_longest(one)), Cell(one.recipe or NONE)]
        where = Cell(one.where, "$text-success" if one.is_here else MUTED)
        cells = [
            Cell(tail(one.name, 52) if self._is_wide else tail(one.name.rpartition("/")[2], 32)),
            where,
            Cell(size(one.nbytes)),
            *(_fit(one.fits.get(str(length))) for length in lengths),
            *(wide if self._is_wide else []),
        ]
        return PageRow(one.name, tuple(cells), _about(one))

    @property
    def selected(self) -> Model | None:
        """Return the model under the cursor."""
        return next((one for one in self.found or () if one.name == self.key), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what the model allows; marks are for nothing here."""
        if action == "mark":
            return False
        return self.selected is not None if action in ("prompt", "new", "copy") else True

    def action_look(self) -> None:
        """Look again."""
        self.look()

    @on(DataTable.RowSelected)
    def action_prompt(self) -> None:
        """Ask the base model in Prompt."""
        model = self.selected
        if model is None:
            return
        if model.why_not:
            self.notify(model.why_not, title="It cannot be used", severity="warning", markup=False)
        elif model.is_here:
            self.post_message(PromptModel(model.name))
        else:
            words = f"{size(model.nbytes)} would be downloaded first: n begins a run with it."
            self.notify(words, title="It is not on this disk", markup=False)

    def action_new(self) -> None:
        """Begin a run with the model."""
        if self.selected is not None:
            from .new import NewRunScreen  # late: recipes' model is slow to import

            model = self.selected
            recipes = [path for path in find_recipes() if path.stem == (model.recipe or EMBEDDED)]
            screen = NewRunScreen(next(iter(recipes), None), {"model": model.name})
            self.app.push_screen(screen, self._started)

    def _started(self, run: Run | None) -> None:
        if run is not None:
            self.dismiss(run)

    def action_copy(self) -> None:
        """Copy the name."""
        copy(self, self.key or "", "name")


def _model(told: dict[str, Any]) -> Model:
    return Model(**{name: told[name] for name in Model.__dataclass_fields__})


def _lengths(found: list[Model]) -> list[int]:
    return sorted({int(length) for one in found for length in one.fits})


def _fit(fits: bool | None) -> Cell:
    if fits is None:
        return Cell(NONE, MUTED)
    return Cell("✓", "$text-success") if fits else Cell("✗", MUTED)


def _longest(one: Model) -> str:
    if one.longest is None:
        return NONE
    if one.context and one.longest > one.context:
        return "all"
    return f"{one.longest:,}" if one.longest else "nothing"


def _about(one: Model) -> Content:
    said = [safe(one.name, 200).stylize("bold")]
    if one.why_not:
        said.append(safe(one.why_not).stylize("$text-warning"))
    elif one.longest is not None:
        said.append(Content(_training(one)))
    facts = [f"{number(one.parameters)} parameters"] if one.parameters else []
    facts += [f"its recipe: {one.recipe}"] if one.recipe else []
    facts += [one.path] if one.path else [f"{size(one.nbytes)} would be downloaded"]
    return lines([*said, safe(" · ".join(facts), 300).stylize(MUTED)])


def _training(one: Model) -> str:
    if not one.longest:
        return "No episode can be trained in this machine's memory with a recipe's defaults."
    if one.context and one.longest > one.context:
        return f"All {one.context:,} tokens of its context can be trained in this machine's memory."
    return f"Episodes of up to {one.longest:,} tokens can be trained in this machine's memory."
