"""A rank that follows: it loads what rank 0 trains, takes its share of every step, writes nothing.

`yofo train` and `yofo resume` are this where `mlx.launch` gave them another rank than 0.
"""

import json
from dataclasses import dataclass, replace

from yofo_mlx.errors import ExitCode
from yofo_mlx.gradients import Progress
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.training.loop import advance
from yofo_mlx.training.provenance import make_record
from yofo_mlx.training.ranks import Ranks, StepLeft, join, made_of
from yofo_mlx.training.setup import Setup, load_planned
from yofo_mlx.training.stop import StopRequest, stop_requests
from yofo_mlx.training.trainer import Learner, Onlooker


def follow() -> ExitCode:
    """Train with rank 0 until it ends the run; raise RunError where it is gone."""
    ranks = join()
    told = json.loads(ranks.give_text(""))
    recipe = Recipe.model_validate_json(json.dumps(told["recipe"]))
    setup = check_together(ranks, recipe, load_planned(recipe, force=told["force"]))
    learner = Learner(recipe, setup)
    learner.begin()
    learner.share_state()
    with stop_requests() as stop:
        ranks.is_asked = stop.is_requested
        while ranks.begin_step():
            try:
                advance(learner, _Hurried(stop))
            except StepLeft:
                continue
    return ExitCode.OK


def announce(ranks: Ranks, recipe: Recipe, *, force: bool) -> None:
    """Tell those who follow what to train, and whether also what may not fit."""
    ranks.give_text(json.dumps({"recipe": recipe.model_dump(mode="json"), "force": force}))


def check_together(ranks: Ranks, recipe: Recipe, setup: Setup) -> Setup:
    """Return what was loaded here, once it is known to be the same on all ranks."""
    if ranks.group is not None:
        ranks.check_same(made_of(make_record(recipe, setup.base, setup.workload)))
    return replace(setup, ranks=ranks)


@dataclass
class _Hurried(Onlooker):
    """Leaves the step where this process is asked to end at once."""

    stop: StopRequest

    def begin_pass(self, place: int, passes: int) -> Progress:
        def progress(done: int, total: int, phase: str) -> None:
            if self.stop.is_urgent():
                raise StepLeft

        progress(0, 0, "")
        return progress
