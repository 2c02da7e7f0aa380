"""What the tables of a recipe are made of: their base, and the kinds of numbers in them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A table of the recipe; unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def _label_range(given: Any) -> Any:
    """Take two rising numbers; of one label alone there is nothing to tell."""
    pair = tuple(given) if isinstance(given, list | tuple) else ()
    if len(pair) == 2 and all(type(one) is int for one in pair) and 2 <= pair[0] <= pair[1] < 2**40:
        return pair
    raise ValueError("give the fewest and the most labels, 2 or more, such as [4, 12]")


def _own_label_range(given: Any) -> Any:
    return given if given is False else _label_range(given)


PositiveInt = Annotated[int, Field(gt=0, lt=2**40)]
Count = Annotated[int, Field(ge=0, lt=2**40)]
Factor = Annotated[float, Field(gt=0, le=1e38)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
LabelRange = Annotated[tuple[int, int], BeforeValidator(_label_range)]
OwnLabelRange = Annotated[tuple[int, int] | Literal[False], BeforeValidator(_own_label_range)]
