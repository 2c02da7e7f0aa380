"""The dialog that chooses a recipe, such as that of a new run."""

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from .dialog import Dialog
from .recipes import about_recipe, place
from .words import one_line


class RecipesScreen(Dialog, ModalScreen[Path | None]):
    """Gives back the recipe chosen."""

    CSS = """
    RecipesScreen { align: center middle; background: $background 60%; }
    RecipesScreen > Vertical {
        width: 76; max-width: 95%; height: auto; max-height: 90%;
        padding: 1 2; background: $surface; border: round $primary;
    }
    RecipesScreen OptionList {
        height: auto; max-height: 20; border: none; padding: 0; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel", id="recipes.cancel"),
    ]

    def __init__(
        self, recipes: list[Path], chosen: Path | None = None, title: str = "Recipe"
    ) -> None:
        super().__init__()
        self._recipes, self._chosen, self._title = recipes, chosen, title

    def compose(self) -> ComposeResult:
        """List the recipes."""
        with Vertical() as box:
            box.border_title = self._title
            yield OptionList(*[Option(_option(path)) for path in self._recipes])

    def on_mount(self) -> None:
        """Begin at the one that is used."""
        at = self._recipes.index(self._chosen) if self._chosen in self._recipes else 0
        self.query_one(OptionList).highlighted = at if self._recipes else None

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._recipes[event.option_index])


def _option(path: Path) -> Content:
    about = one_line(about_recipe(path), 64)
    name = one_line(path.stem, 60).stylize("bold")
    return Content.assemble(name, "  ", (place(path), "dim"), "\n  ", about)
