"""A training process that is killed at any moment, and resumed, is one that never died."""

import random
from pathlib import Path

import kill_resume
import pytest

from yofo_mlx.runs.folder import Run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def whole(home: Path) -> Run:
    """Return a run that was left alone."""
    run = kill_resume.begin(home)
    kill_resume.train_to_the_end(run)
    return run


@pytest.mark.long  # half-written checkpoints and resuming to the bit: test_resume.py, test_train.py
@pytest.mark.parametrize("moments", [["checkpoint"], ["step"], ["evaluation", "random"]])
def test_a_run_that_was_killed_and_resumed_is_the_run_that_was_not(
    home: Path, whole: Run, moments: list[str]
) -> None:
    run, fell = kill_resume.kill_and_resume(home, moments, random.Random(len(moments[0])))
    assert "too late" not in fell
    assert kill_resume.difference(run, whole) == ""
    assert run.status() == "finished"
