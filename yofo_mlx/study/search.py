"""Values that a study tries for its main arms, and which of them are the best.

The idea is AutoFT's (arXiv 2401.10220): tasks that nobody trains on judge a recipe, not its own
loss. Where there are none to spare, the prequential loss does (arXiv 2512.19879), on rows of the
training tasks that are set aside.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf, isfinite
from statistics import fmean
from typing import Any

from yofo_mlx.evaluation.ranking import prequential
from yofo_mlx.queueing.grid import combinations
from yofo_mlx.recipe.study import RATE, Study
from yofo_mlx.study.arms import Arm
from yofo_mlx.study.results import Result, Values

Pairs = Mapping[tuple[str, int, str], tuple[float, float]]
"""Score and loss of answers, by task, number of shots and query."""


def points(settings: Study, arm: Arm) -> list[Values]:
    """Return the combinations that an arm is tried with, without keys that it says itself.

    Where nothing is searched that is one, of no values.
    """
    axes = {key: some for key, some in settings.axes.items() if not arm.says(key)}
    return [tuple(sorted(one.items())) for one in combinations(axes, settings.sample)]


def of_arm(values: Values, arm: Arm) -> Values:
    """Return those of an arm's values that another one takes over."""
    return tuple((key, value) for key, value in values if not arm.says(key))


def words(values: Values) -> list[str]:
    """Return values as parts of a name."""
    return [f"lr{value:g}" if key == RATE else f"{key}-{value}" for key, value in values]


def best(results: Iterable[Result], judges: Sequence[str], *, by_loss: bool) -> Values | None:
    """Return the values of the result that is the best in what all of them were asked.

    That is the highest mean score, of equal ones the least loss; or the least prequential loss.
    """
    found = {one.values: pairs_of(one, judges) for one in results}
    found = {values: pairs for values, pairs in found.items() if pairs}
    if not found:
        return None
    asked = set.intersection(*({*pairs} for pairs in found.values()))

    def rank(values: Values) -> tuple[float, float]:
        told = judged({one: found[values][one] for one in asked})
        losses = [told["prequential"] if by_loss else told["loss"]]
        least = -losses[0] if isfinite(losses[0]) else -inf
        return (0.0 if by_loss else told["score"]), least

    return max(found, key=rank)


def judged(pairs: Pairs) -> dict[str, float]:
    """Return mean score, mean loss and prequential loss (nats) of answers; of none, zeros."""
    if not pairs:
        return {"score": 0.0, "loss": 0.0, "prequential": 0.0}
    score, loss = (fmean(column) for column in zip(*pairs.values(), strict=True))
    curves: dict[str, dict[int, list[float]]] = {}
    for (task, shots, _), (_, one) in pairs.items():
        curves.setdefault(task, {}).setdefault(shots, []).append(one)
    summed = [
        prequential([(shots, fmean(curve[shots])) for shots in sorted(curve)]) or 0.0
        for curve in curves.values()
    ]
    return {"score": score, "loss": loss, "prequential": fmean(summed)}


def pairs_of(result: Result, names: Sequence[str]) -> Pairs:
    """Return score and loss of all answers of some tasks."""
    return {
        (name, shots, query): pair
        for name in names
        for shots, scores in result.cells.get(name, {}).items()
        for query, pair in scores.items()
    }


def settings_of(study: Mapping[str, Any]) -> Study:
    """Return the table `[study]` as far as study.json tells of it."""
    return Study.model_validate(
        {
            "learning_rates": tuple(study.get("learning_rates", ())),
            "search": {key: tuple(some) for key, some in (study.get("search") or {}).items()},
            "sample": study.get("sample"),
            "rows": tuple(study.get("rows", ())),
            "choose_on": tuple(study["choose_on"]),
        }
    )
