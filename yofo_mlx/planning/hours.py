"""How long a run takes: its work, by how fast this machine did other work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yofo_mlx.planning.evaluation import EvaluationPlan, asked_at_most, plan_validation
from yofo_mlx.planning.planner import TARGET_SHARE, Planner
from yofo_mlx.planning.speeds import Speed, known_speed
from yofo_mlx.planning.volume import Draw, Volume, draw, volume_bounds, volume_of
from yofo_mlx.planning.work import (
    EXAMPLE,
    Load,
    of_draws,
    pass_work,
    passes_of,
    validation_work,
    validations,
)
from yofo_mlx.planning.workload import Workload
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system.quantities import duration

DAY = 86400.0


@dataclass(frozen=True)
class Hours:
    """How long a run takes, if it is not stopped early."""

    speed: Speed
    steps: int
    seconds_per_step: float
    tokens_per_s: float  # while steps are taken
    validating: float  # seconds of all validations
    is_bound: bool  # were every episode as long as it may be

    @property
    def training(self) -> float:
        """Seconds of all steps."""
        return self.seconds_per_step * self.steps

    @property
    def total(self) -> float:
        """Seconds of steps and validations."""
        return self.training + self.validating

    @property
    def is_long(self) -> bool:
        """Tell whether it takes more than a day."""
        return self.total > DAY

    @property
    def words(self) -> str:
        """Say how long it takes."""
        return f"{'at most ' if self.is_bound else 'about '}{duration(self.total)}"

    @property
    def source(self) -> str:
        """Say where the speed is known from."""
        speed = self.speed
        if speed.kind == "chip":
            return f"as {speed.source} trains {speed.model} with mlx-lm; --probe measures it here"
        of = f"episodes of {speed.tokens:,} tokens"
        if speed.kind == "other model":
            return f"roughly, from {speed.source} of {speed.model}; --probe measures it"
        return f"from a probe, {of}" if speed.kind == "probe" else f"from {speed.source}, {of}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as a part of what `yofo plan --json` prints."""
        return {
            "seconds_per_step": round(self.seconds_per_step, 4),
            "seconds_total": round(self.training, 1),
            "seconds_validating": round(self.validating, 1),
            "tokens_per_s": round(self.tokens_per_s, 1),
            "speed": self.speed.as_dict() | {"words": self.source},
        }


UNKNOWN = dict.fromkeys(
    ("seconds_per_step", "seconds_total", "seconds_validating", "tokens_per_s", "speed")
)


def hours_of(
    recipe: Recipe,
    planner: Planner,
    volume: Volume,
    draws: list[Draw],
    validation: EvaluationPlan | None,
    tasks: int | None = None,
    speed: Speed | None = None,
) -> Hours | None:
    """Return how long a run takes; None if nothing is known of this machine's speed.

    Without draws were every episode as long as it may be. `tasks`: how many are validated, the
    recipe's number if they were not read. `speed`: what was measured just now.
    """
    loads = of_draws(draws) or [_bound(recipe, volume)]
    tokens = sum(load.tokens for load in loads)
    length = tokens / sum(load.episodes for load in loads)
    speed = speed or known_speed(recipe, planner, length)
    if speed is None:
        return None
    each = sum(pass_work(planner, load) for load in loads) / tokens / speed.factor
    per_step = each * (volume.tokens_per_step or volume.max_tokens_per_step)
    validating = 0.0
    if validation:
        tasks = recipe.evaluation.valid_tasks if tasks is None else tasks
        once = validation_work(
            planner, recipe.evaluation, tasks, validation.max_tokens, _example(draws)
        )
        validating = once * validations(recipe.train, volume.steps)
        validating /= speed.validating or speed.factor
    return Hours(speed, volume.steps, per_step, 1 / each, validating, not draws)


def long_hours(
    recipe: Recipe, planner: Planner | None, workload: Callable[[], Workload | None] = lambda: None
) -> Hours | None:
    """Return how long a run takes that takes more than a day, as far as is known; else None.

    Episodes are drawn only where the longest ones would take so long. `workload`: the run's data,
    without which it is those.
    """
    if planner is None:
        return None
    validation = plan_validation(planner, asked_at_most(recipe))
    most = hours_of(recipe, planner, volume_bounds(recipe), [], validation)
    if most is None or not most.is_long:
        return None
    if not (found := workload()):
        return most
    draws = draw(recipe, found)
    hours = hours_of(recipe, planner, volume_of(recipe, draws), draws, validation)
    return hours if hours and hours.is_long else None


def _example(draws: list[Draw]) -> float:
    """Return the tokens of a demonstration, the mean."""
    shown = sum(shots + 1 for one in draws for shots in one.shots)
    return sum(one.tokens for one in draws) / shown if shown else EXAMPLE


def _bound(recipe: Recipe, volume: Volume) -> Load:
    """Return a pass of the longest episodes."""
    tokens = volume.max_tokens_per_step / passes_of(recipe.train, volume.max_tokens_per_step)
    return Load(tokens, tokens / recipe.episodes.max_tokens, tokens * TARGET_SHARE)
