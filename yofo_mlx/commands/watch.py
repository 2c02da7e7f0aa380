"""`yofo watch`: follow a run from outside; leaving it does not hurt the run."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from yofo_mlx import runs
from yofo_mlx.commands.display import STOPPING, complain, say_now, shown_on
from yofo_mlx.death import explain
from yofo_mlx.errors import ExitCode
from yofo_mlx.events import Event, EventReader
from yofo_mlx.runs import Run

POLL_S = 0.2
CODES = {"finished": ExitCode.OK, "stopped": ExitCode.INTERRUPTED}


def watch(name: str, *, as_json: bool = False) -> ExitCode:
    """Show a run as it goes, from its beginning to its end; Ctrl-C leaves it alone."""
    run = runs.find(name)
    try:
        _follow(run, as_json=as_json)
    except KeyboardInterrupt:
        print(f"\n{run.run_id} goes on; `yofo stop {run.run_id}` ends it", file=sys.stderr)
        return ExitCode.OK
    return _end(run)


def attend(run: Run) -> ExitCode:
    """Show a run that was started from here; Ctrl-C asks it to stop, twice to leave its step."""

    def ask(number: int, frame: object) -> None:
        say_now(STOPPING)
        run.request_stop()
        if pid := runs.holder(run):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _follow(run)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return _end(run)


def _follow(run: Run, *, as_json: bool = False) -> None:
    """Show events until nobody trains the run any more."""
    if as_json:
        for event in follow(run):
            print(json.dumps(event, ensure_ascii=False), flush=True)
        return
    with shown_on(sys.stderr) as display:
        for event in follow(run):
            display.show(event)


def follow(run: Run) -> Iterator[Event]:
    """Yield events until nobody trains the run any more.

    Where the run was resumed meanwhile, what is known of it is passed over.
    """
    reader, restarts = run.events(), 0
    while True:
        alive = run.is_locked()  # before the events: what is written last is read after that
        fresh = list(reader)
        if reader.restarts != restarts:
            restarts, fresh = reader.restarts, _resumed(reader, fresh)
        yield from fresh
        if not alive:
            return
        time.sleep(POLL_S)


def _resumed(reader: EventReader, known: list[Event]) -> list[Event]:
    """Return what tells that a run goes on from the end of the events that are known."""
    steps = [event for event in known if event["kind"] == "step"]
    step = steps[-1]["step"] if steps else 0
    return [{"v": 1, "t": time.time(), "kind": "resumed", "step": step}, *steps[-1:]]


def _end(run: Run) -> ExitCode:
    """Say how a run stands that nobody trains."""
    status = run.status()
    if status == "created":
        print(f"{run.run_id} was never started: `yofo resume {run.run_id}`", file=sys.stderr)
    elif death := explain(run):
        complain(run.run_id, status, death)
    elif status == "stopped":
        print(f"go on with: yofo resume {run.run_id}", file=sys.stderr)
    return CODES.get(status, ExitCode.FAILED)
