"""What a run that loads tells in its events: that it does, and whatever ended that."""

import errno
from typing import Any

import pytest

from yofo_mlx.errors import DataError, RunError
from yofo_mlx.runs import listing
from yofo_mlx.runs.events import Event
from yofo_mlx.runs.folder import Run
from yofo_mlx.training.checkpoints import STATE_FILE
from yofo_mlx.training.telling import failures, loading

SMALL = [
    '--set=tasks=[{source = "tiny:new-topic-01"}]',
    "--set=train.steps=1",
    "--set=episodes.max_tokens=64",
    "--set=evaluation.shots=[0]",
    "--set=evaluation.queries=2",
    "--set=evaluation.valid_tasks=1",
]


@pytest.fixture
def run() -> Run:
    return listing.create("loads")


def told(run: Run, error: BaseException) -> tuple[BaseException, Event]:
    """Return what an error while loading becomes, and the run's last event."""
    with pytest.raises(BaseException) as caught, loading(run):
        raise error
    first, last = run.events()
    assert first["kind"] == "loading"
    return caught.value, last


@pytest.mark.parametrize("error", [DataError("no such file", "name another"), ZeroDivisionError()])
def test_an_error_is_told_and_raised_as_it_is(run: Run, error: Exception) -> None:
    raised, last = told(run, error)
    assert raised is error and run.status() == "failed"
    words = "no such file" if isinstance(error, DataError) else "ZeroDivisionError: "
    assert (last["step"], last["message"], last["cause"]) == (0, words, None)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk full"),
        (RuntimeError("[malloc_or_wait] Unable to allocate 123456 bytes."), "out of memory"),
    ],
)
def test_what_is_known_is_told_in_words_with_its_cause(
    run: Run, error: Exception, cause: str
) -> None:
    raised, last = told(run, error)
    assert isinstance(raised, RunError) and raised.__cause__ is error
    assert (last["message"], last["hint"]) == (raised.message, raised.hint)
    assert last["cause"] == cause and "yofo resume" in last["hint"]


def test_an_interrupt_leaves_the_run_stopped(run: Run) -> None:
    run.checkpoint_path(7).mkdir(parents=True)
    (run.checkpoint_path(7) / STATE_FILE).touch()
    raised, last = told(run, KeyboardInterrupt())
    assert isinstance(raised, KeyboardInterrupt) and run.status() == "stopped"
    assert (last["step"], last["reason"]) == (7, "interrupted while loading")


def test_what_goes_well_before_the_training_leaves_the_stream_alone(run: Run) -> None:
    with failures(run):
        pass
    assert not run.events_path.exists() and not run.has_spoken()


@pytest.mark.parametrize("what", ["make_record", "shrink"])
def test_an_error_between_loading_and_training_is_the_last_word_of_the_run(
    what: str, yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert yofo("train", "tiny", *SMALL)[0] == 0
    (run,) = listing.list_runs()

    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"yofo_mlx.commands.train.{what}", fails)
        assert yofo("resume", "last", "--set", "train.steps=2")[0] == 1
    last = list(run.events())[-1]
    assert (run.status(), last["cause"], last["step"]) == ("failed", "disk full", 1)
    assert yofo("resume", "last")[0] == 0 and run.status() == "finished"


def test_a_run_that_fails_before_its_first_step_says_why(
    yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("yofo_mlx.commands.train.make_record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            yofo("train", "tiny", *SMALL)
    (run,) = listing.list_runs()
    assert run.status() == "failed"
    assert yofo("resume", "last")[0] == 0
    assert next(iter(run.events()))["kind"] == "started"
