"""Runs ranked by what ranks them; what is not known comes last, in either direction."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.ranking import newest, prequential, ranks
from yofo_mlx.runs import listing
from yofo_mlx.runs.events import EventWriter
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.kinds import EvalEvent, FinishedEvent, ShotsRow


def row(metric: str, shots: int, accuracy: float, tasks: int = 2, of: int = 2) -> ShotsRow:
    more = {"accuracy_margin": 0.1, "loss": 1.0}
    return ShotsRow(metric=metric, tasks=tasks, of=of, shots=shots, accuracy=accuracy, **more)


def ended(name: str, loss: float | None, *rows: ShotsRow, gain: float | None = None) -> Run:
    run = listing.create(name)
    run.recipe_path.write_text("")
    writer = EventWriter(run.events_path)
    if loss is not None:
        event = EvalEvent(step=1, loss=loss, by_shots=[*rows], by_task=[], best=True, peak_gb=1.0)
        writer.write(event)
    writer.write(FinishedEvent(step=1, best_step=1, seconds=1.0))
    writer.close()
    if gain is not None:
        points = [{"shots": n, "base": 0.25, "adapter": 0.25 + gain * n} for n in (0, 1)]
        found = {
            "full": True,
            "complete": True,
            "metrics": [{"metric": "exact", "by_shots": points}],
        }
        run.evaluations_path.mkdir()
        (run.evaluations_path / "0001-full.json").write_text(json.dumps(found))
    return run


def test_accuracy_is_that_of_most_tasks_at_the_most_shots_that_all_have() -> None:
    rows = [row("exact", 0, 0.1), row("exact", 8, 0.5), row("exact", 32, 0.9, tasks=1)]
    run = ended("one", 0.5, *rows, row("rouge", 64, 1.0, 1, 1), gain=0.5)
    found = ranks("finished", *newest(run), archive.latest(run))
    assert (found.valid, found.accuracy, found.accuracy_shots) == (0.5, 0.5, 8)
    assert (found.gain, found.gain_shots) == (0.5, 1)
    assert found.seconds_left is None


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0, 9)), min_size=1, max_size=6))
def test_the_prequential_loss_is_the_mean_of_every_answer_of_an_episode(
    steps: list[tuple[int, float]],
) -> None:
    shots = np.cumsum([0, *(step for step, _ in steps[1:])]).tolist()
    losses = [loss for _, loss in steps]
    naive = np.interp(range(shots[-1] + 1), shots, losses).mean()
    assert prequential(list(zip(shots, losses, strict=True))) == pytest.approx(naive, abs=1e-9)


def test_it_is_of_the_numbers_of_shots_that_all_tasks_have() -> None:
    rows = [row("exact", 0, 0.1), row("exact", 2, 0.5), row("exact", 8, 0.9, tasks=1)]
    found = ranks("finished", *newest(ended("one", 0.5, *rows)), {})
    assert (found.prequential, found.prequential_shots) == (1.0, 2)
    assert ranks("finished", None, None, {}).prequential is None


@pytest.mark.parametrize(
    ("by", "order"),
    [("valid", "bac"), ("acc", "abc"), ("gain", "abc"), ("age", "cba"), ("left", "cba")],
)
def test_runs_are_sorted_by_what_ranks_them(yofo: Any, by: str, order: str) -> None:
    ended("a", 0.7, row("exact", 4, 0.9), gain=0.5)
    ended("b", 0.6, row("exact", 4, 0.8), gain=0.25)
    ended("c", None)
    code, out, _ = yofo("runs", "--sort", by, "--json")
    assert code == 0 and "".join(one["run_id"][-1] for one in json.loads(out)) == order
    assert yofo("runs", "--sort", by)[0] == 0


def test_what_runs_are_not_sorted_by_is_refused(yofo: Any) -> None:
    for word in ("beauty", "", "l"):
        code, _, err = yofo("runs", "--sort", word)
        assert code == 2 and "valid, prequential, accuracy, gain" in err


def test_a_note_stays_with_its_run(yofo: Any, yofo_home: Path) -> None:
    run = ended("a", 0.7)
    assert yofo("note", "last", "with more\x1b[2J shots")[0] == 0
    assert yofo("rename", run.run_id, "other")[0] == 0
    (found,) = json.loads(yofo("runs", "--json")[1])
    assert found["note"] == "with more\\x1b[2J shots" and "with more" in yofo("runs")[1]
    assert yofo("note", "other")[0] == 0
    assert json.loads(yofo("runs", "--json")[1])[0]["note"] is None
