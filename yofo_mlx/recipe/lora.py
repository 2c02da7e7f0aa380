"""The shape of an adapter: a table of a recipe."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from yofo_mlx.recipe.section import Section


class Lora(Section):
    """The adapter's shape, in mlx-lm's terms."""

    fine_tune_type: Literal["lora", "dora", "ia3", "bitfit", "bottleneck"] = "lora"
    """`lora`, or `dora` for weight-decomposed LoRA; `ia3` scales keys, values and feed-forward
    units (arXiv 2205.05638), `bitfit` trains the biases that the model has (2106.10199),
    `bottleneck` puts a narrow layer behind each attention and feed-forward unit (1902.00751)."""
    rank: Annotated[int, Field(gt=0, le=4096)] = 8
    """Rank of the update, width of a bottleneck; `ia3` and `bitfit` have none, nor the next two."""
    scale: Annotated[float, Field(gt=0, le=1e6)] = 20.0
    """Factor on the update itself (not alpha / rank)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""
    num_layers: Annotated[int, Field(ge=-1, lt=2**40)] = -1
    """Adapted layers, counted from the top; -1 adapts all."""
    keys: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Adapted layers inside a block, such as `self_attn.q_proj`; left out: all that the kind of
    adapter is for, of `lora` and `dora` all linear ones."""

    @model_validator(mode="after")
    def _some_layer(self) -> Self:
        if self.num_layers == 0:
            raise ValueError("`num_layers` is 0: give how many layers to adapt, or -1 for all")
        return self

    @property
    def has_rank(self) -> bool:
        """Tell whether `rank`, `scale` and `dropout` say anything of this kind."""
        return self.fine_tune_type not in ("ia3", "bitfit")
