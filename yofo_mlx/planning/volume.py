"""How much a run processes, from the episodes that it is going to draw; nothing is trained."""

from dataclasses import dataclass
from itertools import count
from math import ceil

from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.planning.workload import Workload
from yofo_mlx.recipe.schema import Recipe, Training

# What is drawn of a long run; the rest is taken to be like it. Chosen: seconds of drawing.
MOST_EPISODES = 1000
MOST_TOKENS = 10_000_000
STEPS_OF_MANY = 10  # looked into, of steps of more episodes than that: the lengths of each differ


@dataclass(frozen=True)
class Draw:
    """A batch of a run."""

    step: int
    micro_step: int
    tokens: int  # padding not counted
    targets: int
    shots: tuple[int, ...]
    longest: int


@dataclass(frozen=True)
class Volume:
    """What a run processes. Of a run that stops early, or of bounds, it is at most that."""

    counted: str  # "drawn": every batch, "sampled": the first ones, "bounds": none could be
    steps: int
    tokens: int
    max_tokens_per_step: int
    longest_episode: int
    passes_per_step: float | None = None
    tokens_per_step: float | None = None
    targets: int | None = None
    targets_per_step: float | None = None
    shots: float | None = None  # mean over the episodes


def draw(recipe: Recipe, workload: Workload) -> list[Draw]:
    """Draw a run's batches as it will, whole steps of them, up to a bound.

    Of a step that is beyond the bound by itself, a part.
    """
    draws: list[Draw] = []
    tokens = episodes = 0
    part = _part_of_step(recipe.train)
    for step in count():
        if _is_over(recipe, step, tokens) or episodes >= MOST_EPISODES or tokens >= MOST_TOKENS:
            return draws
        for micro_step, drawn in enumerate(draw_passes(workload.sampler, part, step)):
            batch = make_batch(drawn, recipe.objective, packed=recipe.train.packed)
            sizes = (batch.token_count, len(batch.targets))
            draws.append(Draw(step, micro_step, *sizes, batch.shots, int(batch.lengths.max())))
            tokens += batch.token_count
            episodes += len(drawn)
    raise AssertionError("steps never end")


def _part_of_step(settings: Training) -> Training:
    """Return how much of a step is drawn: mostly all of it."""
    passes, batch_size = settings.grad_accumulation_steps, settings.batch_size
    if passes * batch_size <= MOST_EPISODES:
        return settings
    few = MOST_EPISODES // STEPS_OF_MANY
    batch_size = min(batch_size, few)
    passes = min(passes, ceil(few / batch_size))
    return settings.model_copy(update={"grad_accumulation_steps": passes, "batch_size": batch_size})


def volume_of(recipe: Recipe, draws: list[Draw]) -> Volume:
    """Return what the whole run processes, if the rest is like what was drawn."""
    drawn = draws[-1].step + 1
    settings, part = recipe.train, _part_of_step(recipe.train)
    episodes = settings.grad_accumulation_steps * settings.batch_size
    more = episodes / (part.grad_accumulation_steps * part.batch_size)
    tokens = more * sum(one.tokens for one in draws)
    targets = more * sum(one.targets for one in draws)
    is_all = more == 1 and _is_over(recipe, drawn, round(tokens))
    steps = drawn if is_all else _steps(recipe, tokens / drawn)
    each_step = [0.0] * drawn
    for one in draws:
        each_step[one.step] += more * one.tokens
    shots = [number for one in draws for number in one.shots]
    return Volume(
        counted="drawn" if is_all else "sampled",
        steps=steps,
        tokens=round(tokens / drawn * steps),
        max_tokens_per_step=round(max(each_step)),
        longest_episode=max(one.longest for one in draws),
        passes_per_step=_passes(recipe, more * len(draws) / drawn),
        tokens_per_step=round(tokens / drawn, 1),
        targets=round(targets / drawn * steps),
        targets_per_step=round(targets / drawn, 1),
        shots=round(sum(shots) / len(shots), 1),
    )


def volume_bounds(recipe: Recipe) -> Volume:
    """Return the most tokens that a run can process, where its episodes cannot be drawn.

    Of a run that is given in tokens: the fewest steps.
    """
    settings, longest = recipe.train, recipe.episodes.max_tokens
    most = settings.batch_size * settings.grad_accumulation_steps * longest
    if settings.batch_tokens:  # half of the last episode at most is beyond
        most = max(longest, settings.batch_tokens + longest // 2)
    most *= recipe.objective.rows + bool(recipe.objective.zero_shot)
    steps = _steps(recipe, most)
    tokens = steps * most if settings.steps else settings.tokens or 0
    return Volume("bounds", steps, tokens, most, longest)


def _passes(recipe: Recipe, drawn: float) -> float:
    """Return the passes of a step: where they follow from the tokens as many as were drawn."""
    by_tokens = recipe.train.batch_tokens or recipe.objective.zero_shot
    return round(drawn, 2) if by_tokens else recipe.train.grad_accumulation_steps


def _is_over(recipe: Recipe, steps: int, tokens: int) -> bool:
    settings = recipe.train
    return steps >= settings.steps if settings.steps else tokens >= (settings.tokens or 0)


def _steps(recipe: Recipe, tokens_per_step: float) -> int:
    settings = recipe.train
    return settings.steps or ceil((settings.tokens or 0) / tokens_per_step)
