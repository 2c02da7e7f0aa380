"""When a loss says that a run has learnt the opposite of something."""

import math

import pytest

from tests.streams import FreeWriter
from yofo_mlx.runs import listing
from yofo_mlx.runs.divergence import far_worse, is_diverged


@pytest.mark.parametrize(
    ("losses", "is_worse"),
    [
        ([], False),
        ([3.2, 9.0], False),  # two steps say nothing
        ([3.2, 3.1, 3.0, 2.9, 40.0], False),  # nor does one of a hard episode
        ([3.2] * 50 + [40.0], False),
        ([3.2, 9.0, 9.0, 9.0], True),
        ([3.2, 3.1] + [9.0] * 10, True),
        ([3.2, math.inf], True),
        ([math.inf], True),
    ],
)
def test_a_loss_is_far_worse_when_its_end_is_and_not_one_step_of_it(
    losses: list[float], is_worse: bool
) -> None:
    assert far_worse(list(enumerate(losses))) is is_worse
    if all(map(math.isfinite, losses)):
        run = listing.create("mine")
        writer = FreeWriter(run.events_path)
        for step, loss in enumerate(losses):
            writer.write("step", step=step, loss=loss)
        assert is_diverged(run) is is_worse
