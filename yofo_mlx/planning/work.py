"""How much work a step is: a model of time, in seconds of the machine that it was fitted to.

Another machine does all of it so many times as fast: that one number is what an earlier run tells
(`speeds.py`). The factors were fitted to the CPU seconds of steps of 32 to 4096 tokens of two
models, 1 M and 135 M parameters, 16 rows of 128 to 1 of 4096, plain and in chunks of 128 to 1024;
`benchmarks/hours.py` shows whole runs beside them. Those of a GPU are from two lengths that were
measured on an M1 Max.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from yofo_mlx.episodes.passes import most_together
from yofo_mlx.gradients.dials import Dials, groups
from yofo_mlx.planning.planner import Planner
from yofo_mlx.planning.sizes import Sizes
from yofo_mlx.planning.step_memory import StepLoad
from yofo_mlx.planning.volume import Draw
from yofo_mlx.recipe.schema import Evaluation, Training
from yofo_mlx.system.environment import on_cpu


@dataclass(frozen=True)
class Costs:
    """Seconds that a kind of work takes on the machine that it was measured on."""

    operation: float  # of a matrix product: a multiplication or an addition
    score: float  # of attention, forward and backward
    element: float  # of an activation of a layer
    piece: float  # each time that a layer is called, however little it does


CPU = Costs(operation=1.2e-11, score=5.5e-8, element=2.3e-8, piece=5.7e-3)
M1_MAX = Costs(operation=2.08e-13, score=7.3e-10, element=0.0, piece=0.0)
# Matrix products of a token and a weight: two operations forward, two backward (the weights are
# frozen), and two again where a chunk is recomputed. Of the logits the weights' share, likewise.
PLAIN, RECOMPUTED = 4, 6
READING = 1 / 3  # of a step's work, where nothing is differentiated; chosen
EXAMPLE = 32.0  # tokens of an input with its answer, where that is not known; chosen
ALIKE = 1.1  # lengths of passes that differ by less are taken the same way


@dataclass(frozen=True)
class Load:
    """What a pass reads."""

    tokens: float
    episodes: float
    targets: float


USUAL = Load(1024, 1, 256)


def costs() -> Costs:
    """Return the factors for what this machine computes on."""
    return CPU if on_cpu() else M1_MAX


def of_draws(draws: Iterable[Draw]) -> list[Load]:
    """Return the passes of a run that were drawn."""
    return [Load(one.tokens, len(one.shots), one.targets) for one in draws]


def pass_work(planner: Planner, load: Load) -> float:
    """Return the work of a pass, the way that it will be taken."""
    length = load.tokens / load.episodes
    about = math.ceil(ALIKE ** math.ceil(math.log(max(length, 1.0), ALIKE)))
    rows = math.ceil(load.episodes)
    targets = rows * about * (1 if 2 * load.targets > load.tokens else 0.5)
    dials = _dials(planner, StepLoad(rows, about, int(targets)))
    return work(planner.shape, load, dials, costs())


@lru_cache(maxsize=1000)
def _dials(planner: Planner, load: StepLoad) -> Dials | None:
    return planner.plan(load).dials


def work(shape: Sizes, load: Load, dials: Dials | None, cost: Costs) -> float:
    """Return the work of a pass that is taken whole, or in chunks."""
    length = load.tokens / load.episodes
    layer = 2 * shape.hidden * (shape.heads + shape.kv_heads) * shape.head_dim
    layer += 3 * shape.hidden * shape.intermediate
    depth = shape.layers + shape.trained  # forward, then backward to the lowest adapter
    again = _recomputed(shape, dials) if dials else 0
    operations = 2 * layer * load.tokens * (depth + again)
    operations += RECOMPUTED * load.targets * shape.hidden * shape.vocabulary
    scores = load.episodes * length**2 / 2 * shape.heads * depth / 2
    widths = 4 * shape.hidden + 2 * shape.intermediate
    elements = load.tokens * widths * (depth + again) / 2
    pieces = (math.ceil(length / dials.chunk) if dials else 1) * (depth + again) / 2
    return (
        cost.operation * operations
        + cost.score * scores
        + cost.element * elements
        + cost.piece * pieces
    )


def _recomputed(shape: Sizes, dials: Dials) -> int:
    """Return how many layers are run again: each for its own chunk, and groups for their inputs."""
    cut = groups(shape.trained, dials.stash)
    return shape.trained + sum(len(group) for group in cut[:-1])


def token_work(planner: Planner) -> float:
    """Return the work of a token of a usual step: how large a model is, as time goes."""
    return work(planner.shape, USUAL, None, costs()) / USUAL.tokens


def passes_of(settings: Training, tokens: float) -> int:
    """Return the passes of a step of so many tokens."""
    if not settings.batch_tokens:
        return settings.grad_accumulation_steps
    return max(1, round(tokens / most_together(settings)))


def validations(settings: Training, steps: int) -> int:
    """Return how many there are in a run, the one at its end included."""
    return math.ceil(steps / settings.eval_every) if settings.eval_every else 1


def validation_work(
    planner: Planner, settings: Evaluation, tasks: int, longest: int, example: float
) -> float:
    """Return the work of a validation; `longest`: of a prompt with its query, in tokens.

    Each task's demonstrations are read once, and its queries asked after each number of them that
    is no longer. `example`: tokens of a demonstration, the mean.
    """
    points = sum(shots * example <= longest for shots in settings.shots) or 1
    reading = _reading(planner, longest, 1)
    reading += points * _reading(planner, example * settings.queries, settings.queries)
    scores = points * settings.queries * example * longest / 2
    scores *= planner.shape.heads * planner.shape.layers
    return tasks * settings.draws * (reading + READING * costs().score * scores)


def _reading(planner: Planner, tokens: float, rows: int) -> float:
    return READING * work(planner.shape, Load(tokens, rows, 0), None, costs())
