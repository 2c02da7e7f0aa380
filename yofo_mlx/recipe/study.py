"""What `yofo study` compares: a table of a recipe."""

from math import prod
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from yofo_mlx.recipe.section import Factor, PositiveInt, Section

RATE = "optimizer.learning_rate"
Value = bool | int | float | str
OF_TRAINING = ("lora", "episodes", "objective", "optimizer", "tasks")  # what is measured stays
MOST = 200  # adapters that an arm is tried with


class Study(Section):
    """What `yofo study` compares, and by what; see docs/study.md."""

    arms: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Arms, such as `many-all`; left out: all of them."""
    seeds: PositiveInt = 3
    """Seeds of the main arms; the others have one."""
    learning_rates: tuple[Factor, ...] = ()
    """Rates that each main arm is tried with; left out: the recipe's."""
    search: dict[str, Annotated[tuple[Value, ...], Field(min_length=1)]] | None = None
    """Other keys that each main arm is tried with, in all combinations, the rates among them:
    `{lora.scale = [2.0, 8.0], episodes.max_shots = [8, 64], objective.zero_shot = [0.0, 0.4]}`."""
    sample: PositiveInt | None = None
    """So many of the combinations, drawn, the same ones each time; left out: all."""
    choose_on: tuple[str, ...] = ()
    """Held-out tasks that only choose among these values; no mean is over them. Left out: the loss
    on rows of the training tasks that are set aside, over all numbers of shots, chooses."""
    rows: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    """Shares of each training task's rows, such as `[0.125, 0.25, 0.5]`, with which `many-all` is
    trained as well."""
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

    @property
    def axes(self) -> dict[str, tuple[Value, ...]]:
        """Return the keys that are searched with their values, the learning rate among them."""
        return ({RATE: self.learning_rates} if self.learning_rates else {}) | (self.search or {})

    @field_validator("search", mode="before")
    @classmethod
    def _dotted(cls, given: Any) -> Any:
        """Take `lora.scale = [...]`, which is a table in a table, for `"lora.scale" = [...]`."""
        while isinstance(given, dict) and any(isinstance(one, dict) for one in given.values()):
            given = {
                f"{key}.{inner}" if inner else key: one
                for key, value in given.items()
                for inner, one in (value if isinstance(value, dict) else {"": value}).items()
            }
        if not isinstance(given, dict):
            return given
        return {key: tuple(one) if isinstance(one, list) else one for key, one in given.items()}

    @model_validator(mode="after")
    def _axes_can_be_tried(self) -> Self:
        for key, values in (self.search or {}).items():
            if key.partition(".")[0] not in OF_TRAINING:
                raise ValueError(f"`search`: `{key}` is not of {', '.join(OF_TRAINING)}")
            if len({*map(repr, values)}) < len(values):
                raise ValueError(f"`search`: `{key}` has a value twice")
            if key == RATE and self.learning_rates:
                raise ValueError(f"`{RATE}` is in `search`, and `learning_rates` are given: one")
        if len({*self.rows}) < len(self.rows):
            raise ValueError("`rows` has a value twice")
        if self.sample and not self.axes:
            raise ValueError("`sample` draws from `search` or `learning_rates`, and there is none")
        every = prod(map(len, self.axes.values()))
        if min(every, self.sample or every) > MOST:
            raise ValueError(f"`search` makes {every:,} adapters of an arm: `sample` draws some")
        return self

    @model_validator(mode="after")
    def _tasks_have_one_use(self) -> Self:
        if twice := sorted({*self.choose_on} & {*self.apart}):
            raise ValueError(f"{', '.join(twice)} is both in `choose_on` and `apart`")
        return self
