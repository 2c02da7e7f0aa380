"""Verbs that the app runs as processes: what they say, and who still waits for them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tui.shared import verb
from yofo_mlx.errors import Cancelled, RunError
from yofo_mlx.system import child

ENDLESS = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a worker that is cancelled as soon as the process is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(child, "command", lambda *_: [sys.executable, "-c", ENDLESS])
    pid = tmp_path / "pid"
    worker = property(lambda self: pid.exists() and bool(pid.read_text()))
    kind = type("Worker", (SimpleNamespace,), {"is_cancelled": worker})
    monkeypatch.setattr(verb, "get_current_worker", kind)


@pytest.mark.parametrize(("run", "goes_on"), [(verb.ask, False), (verb.call, True)])
def test_quitting_waits_for_no_verb_and_cuts_none_off_that_changes_something(
    left: None, run: Callable[..., str], goes_on: bool
) -> None:
    with pytest.raises(Cancelled):
        run("models")
    pid = int(Path("pid").read_text())
    if goes_on:
        os.kill(pid, 9)  # it was there to be ended
    else:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("exit('warning: w\\nerror: no data\\n  give some')", "no data", "give some"),
        ("exit('Killed')", "`yofo models`: Killed", ""),
        ("exit(3)", "`yofo models`: exit status 3", ""),
    ],
)
def test_what_a_verb_complains_of_is_raised(
    monkeypatch: pytest.MonkeyPatch, code: str, message: str, hint: str
) -> None:
    monkeypatch.setattr(child, "command", lambda *_: [sys.executable, "-c", code])
    with pytest.raises(RunError) as caught:
        verb.ask("models")
    assert (caught.value.message, caught.value.hint) == (message, hint)
