"""Parameters of a session's methods, declared once and checked before any work."""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from yofo_mlx.prompting.choosing import Division, division_of
from yofo_mlx.prompting.protocol import INVALID_PARAMS, ProtocolError, Request
from yofo_mlx.recipe.ways import Way
from yofo_mlx.tasks.task import Example


def _encodable(text: str) -> str:
    text.encode()  # half a surrogate pair is no text; the ValueError names it
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Place = Annotated[int, Field(ge=0)]


class Parameters(BaseModel):
    """Base of all parameters; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Nothing(Parameters):
    """For methods without parameters."""


class Loadable(Parameters):
    """Which model; a run id, or a model with an adapter if wanted."""

    run: str | None = None
    model: str | None = None
    adapter: str | None = None
    use_adapter: bool = True


class Load(Loadable):
    """Who answers; with it, who answers beside it from the same base model."""

    beside: list[Loadable] = []
    """What one does not name is as it is of the first: `{"use_adapter": false}` is the base."""
    make_room: bool = False
    """They forget what they have read for each other where memory is short."""


class Pair(Parameters):
    """One labelled pair."""

    input: Text
    output: Text


class Prefill(Parameters):
    """The demonstrations to choose from, and how many of them to keep in the context."""

    demonstrations: list[Pair] = []
    instruction: Text = ""
    shots: Annotated[int, Field(ge=0)] | Literal["all"] | None = None
    """None: as many as the longest training episode holds, or a modest number of tokens."""
    choose: Way = "balanced"
    """Which of them a query sees."""
    block: Annotated[int, Field(gt=0)] | None = None
    """Demonstrations in a block, where `choose` is blocks; None: 50, or as many as fit."""
    blocks_share: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Share of the blocks that a query sees."""
    seed: int | None = None
    """None: the run's, else 0."""
    shown: list[Place] = []
    """Places of those that an earlier session showed; they stay first."""
    added: list[Place] = []
    """Places of those that were not offered to that session."""
    kept: Text | None = None
    """The folder where their keys and values are kept, and taken from."""
    kv_bits: Literal[4, 8] | None = None
    """Of each number that is kept; None: as they are."""

    @model_validator(mode="after")
    def _are_places(self) -> Self:
        if max([*self.shown, *self.added], default=-1) >= len(self.demonstrations):
            raise ValueError("a place beyond the demonstrations")
        return self

    @property
    def division(self) -> Division:
        """Return how many shots all queries see, and how many each one has of its own."""
        return division_of(self.choose, self.shots if isinstance(self.shots, int) else None)

    def examples(self) -> list[Example]:
        """Return the demonstrations as examples."""
        return [Example(pair.input, pair.output) for pair in self.demonstrations]


class Generate(Parameters):
    """A query to answer."""

    input: Text
    max_tokens: Annotated[int, Field(gt=0)] = 256
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class Score(Parameters):
    """A query and the answers to compare."""

    input: Text
    labels: Annotated[list[Text], Field(min_length=1)]


class Health(Parameters):
    """How the demonstrations are to be told of."""

    labels: bool = False
    """With the shares of all labels at each of them."""


class CacheFile(Parameters):
    """A prompt cache file."""

    path: Annotated[Text, Field(min_length=1)]


P = TypeVar("P", bound=Parameters)


def read(kind: type[P], request: Request) -> P:
    """Return a request's parameters; every mistake is named at once."""
    try:
        return kind.model_validate(request.params)
    except ValidationError as error:
        mistakes = "; ".join(
            f"`{'.'.join(map(str, detail['loc']))}`: {detail['msg']}" for detail in error.errors()
        )
        raise ProtocolError(
            INVALID_PARAMS, f"{request.method}: {mistakes[:2000]}", request.id
        ) from None
