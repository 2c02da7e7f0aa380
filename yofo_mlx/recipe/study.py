"""What `yofo study` compares: a table of a recipe."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from yofo_mlx.recipe.section import Factor, PositiveInt, Section


class Study(Section):
    """What `yofo study` compares, and by what; see docs/study.md."""

    arms: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Arms, such as `many-all`; left out: all of them."""
    seeds: PositiveInt = 3
    """Seeds of the main arms; the others have one."""
    learning_rates: tuple[Factor, ...] = ()
    """Rates that each main arm is tried with; left out: the recipe's."""
    choose_on: tuple[str, ...] = ()
    """Held-out tasks that only choose among the rates; no mean is over them."""
    apart: tuple[str, ...] = ()
    """Held-out tasks that are shown beside the mean."""
    dedicated_tokens: PositiveInt = 15_000
    """Tokens to process for the adapter of a single held-out task."""
    rehearse_rows: PositiveInt | None = None
    """Most rows of each training task that the model answers itself, for the arms that train on
    its own answers; left out: all."""
    forgetting: str | None = None
    """File of texts that no arm trains on; the loss on them tells what was forgotten."""
    forgetting_column: str | None = None
    """Column of the texts; left out: `text`, else `input`."""
    forgetting_tokens: PositiveInt = 16_000
    """Tokens of them that are read."""

    @model_validator(mode="after")
    def _rates_need_a_judge(self) -> Self:
        if len(self.learning_rates) > 1 and not self.choose_on:
            raise ValueError(
                "`learning_rates` are chosen among on held-out tasks: name them in `choose_on`"
            )
        if twice := sorted({*self.choose_on} & {*self.apart}):
            raise ValueError(f"{', '.join(twice)} is both in `choose_on` and `apart`")
        return self
