"""An evaluation in the background outlives the app, which does not wait for it."""

import os
import sys
from typing import Any

import pytest

from tui.runs.starting import evaluate_detached
from yofo_mlx.system import child


def test_one_that_nobody_waits_for_goes_on(
    run_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"
    monkeypatch.setattr(child, "command", lambda *_: [sys.executable, "-c", code])
    run = run_folder("one").run
    log = run.evaluations_path / "eval.log"
    assert evaluate_detached(run, lambda: bool(log.read_text())) is None
    os.kill(int(log.read_text()), 9)  # it was there to be ended


@pytest.mark.parametrize(("code", "said"), [("", ""), ("exit('error: no data')", "no data")])
def test_its_end_is_told(
    run_folder: Any, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setattr(child, "command", lambda *_: [sys.executable, "-c", code])
    assert evaluate_detached(run_folder("one").run, lambda: False) == said
