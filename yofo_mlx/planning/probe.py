"""A few real gradients, timed: how long a run's steps take on this machine."""

import time
from dataclasses import dataclass
from itertools import islice

import mlx.core as mx
import mlx.optimizers as optim

from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.gradients import loss_and_gradients
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.models.base import Base
from yofo_mlx.planning.planner import Planner
from yofo_mlx.planning.speeds import Speed
from yofo_mlx.planning.step_memory import resident_bytes
from yofo_mlx.planning.volume import Draw
from yofo_mlx.planning.work import of_draws, pass_work, token_work
from yofo_mlx.planning.workload import Workload
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system.peak import peak, reset_peak

BATCHES = 3  # chosen: a short, a middling and a long one; more would be waited for


@dataclass(frozen=True)
class Measurement:
    """What a few batches took, and what was forecast for the largest of them."""

    batches: int
    tokens: int
    seconds: float
    work: float  # of all of them, as `work.py` counts it
    episodes: int
    peak: int  # bytes, model included
    forecast: int

    @property
    def factor(self) -> float:
        """How many times as fast as the model of work."""
        return self.work / self.seconds

    def speed(self, planner: Planner, recipe: Recipe) -> Speed:
        """Return what it says of a recipe's model on this machine."""
        return Speed(
            factor=self.factor,
            source="probe",
            kind="probe",
            model=recipe.model,
            dtype=recipe.dtype,
            tokens=round(self.tokens / self.episodes),
            token_work=token_work(planner),
            t=time.time(),
        )


def probe(
    recipe: Recipe, base: Base, workload: Workload, planner: Planner, draws: list[Draw]
) -> Measurement:
    """Differentiate a few of a run's batches, after a warm-up; the model gets a fresh adapter.

    Nothing is updated and nothing is written.
    """
    mx.random.seed(recipe.seed)
    add_adapter(base.model, recipe.lora)
    moments = optim.AdamW(learning_rate=0.0)
    moments.init(base.model.trainable_parameters())
    mx.eval(moments.state)  # they take room in a run
    base.model.train()
    before = mx.set_cache_limit(planner.cache_bytes(planner.longest_step(recipe)))
    try:
        chosen = spread(draws, BATCHES)
        batches = [_batch(recipe, workload, one) for one in chosen]
        _seconds(base, planner, batches[0])  # the first one compiles and allocates: not timed
        reset_peak()
        seconds = sum(_seconds(base, planner, batch) for batch in batches)
        highest = peak()
    finally:
        mx.set_cache_limit(before)
    return Measurement(
        batches=len(batches),
        tokens=sum(batch.token_count for batch in batches),
        seconds=seconds,
        work=sum(pass_work(planner, load) for load in of_draws(chosen)),
        episodes=sum(len(one.shots) for one in chosen),
        peak=highest,
        forecast=resident_bytes(planner.shape)
        + max(planner.plan_batch(batch).total for batch in batches),
    )


def spread(draws: list[Draw], most: int) -> list[Draw]:
    """Return batches from short to long, each in the middle of an equal share of all.

    A step's time grows faster than its tokens: those of mean length alone would tell too little.
    """
    ordered = sorted(draws, key=lambda one: one.tokens)
    number = min(most, len(ordered))
    return [ordered[(2 * place + 1) * len(ordered) // (2 * number)] for place in range(number)]


def _batch(recipe: Recipe, workload: Workload, one: Draw) -> Batch:
    passes = draw_passes(workload.sampler, recipe.train, one.step)
    episodes = next(islice(passes, one.micro_step, None))
    return make_batch(episodes, recipe.objective, packed=recipe.train.packed)


def _seconds(base: Base, planner: Planner, batch: Batch) -> float:
    started = time.perf_counter()
    mx.eval(loss_and_gradients(base.model, batch, planner.dials(batch)))
    return time.perf_counter() - started
