"""The `[objective]` table of a recipe: what is learned from an episode."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from yofo_mlx.recipe.section import Factor, PositiveInt, Section, Share

Weight = Annotated[float, Field(ge=0, le=1e6)]


class Objective(Section):
    """Which tokens carry loss, how they are averaged, and what is added to that."""

    targets: Literal["all", "last", "tokens"] = "all"
    """`all` answers of an episode, only the `last` one, or all `tokens` (inputs too)."""
    normalize: Literal["answer", "token"] = "answer"
    """Mean over answers of each answer's mean, or mean over target tokens."""
    zero_shot: Share = 0.0
    """Share of the loss that has the same answers without any demonstration, read once more by
    themselves (DrICL, arXiv 2501.04070: 0.4); 0 reads nothing more."""
    reweight: Factor | None = None
    """An answer behind others weighs exp((its loss - the largest of the 10 before it) / this)
    (DrICL: 11); left out: all the same."""
    smoothing: Share = 0.0
    """Share of a target that is spread over all tokens, for the row that the base doubts most
    (UAL, arXiv 2406.04854); others have less, by `doubt` of their `[[tasks]]`."""
    rejected: Weight = 0.0
    """Weight of making the rejected answer of an episode's last row unlikely, where it has one by
    `rejected` of its `[[tasks]]` (ASFT, arXiv 2409.10571: 1)."""
    unlikelihood: Weight = 0.0
    """Weight of making wrong labels of an episode's last row unlikely (T-Few, arXiv 2205.05638:
    1)."""
    choice: Weight = 0.0
    """Weight of making the right label of an episode's last row the likeliest by its mean token,
    among those wrong ones (T-Few: 1)."""
    wrong_labels: PositiveInt = 1
    """Wrong labels of that row, drawn anew for each episode, which is read once more with each."""

    @property
    def contrasts(self) -> bool:
        """Tell whether labels are compared with wrong ones."""
        return bool(self.unlikelihood or self.choice)

    @property
    def rows(self) -> int:
        """Return how often an episode of a pass is read at most, side by side."""
        return 1 + bool(self.rejected) + (self.wrong_labels if self.contrasts else 0)

    @model_validator(mode="after")
    def _tokens_have_no_answers(self) -> Self:
        if self.targets != "tokens":
            return self
        if self.normalize == "answer":
            raise ValueError('`targets = "tokens"` needs `normalize = "token"`')
        of_answers = ("zero_shot", "reweight", "smoothing", "rejected", "unlikelihood", "choice")
        if given := [f"`{name}`" for name in of_answers if getattr(self, name)]:
            raise ValueError(f'{" and ".join(given)}: for answers, not for `targets = "tokens"`')
        return self
