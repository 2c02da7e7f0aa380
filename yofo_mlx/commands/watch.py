"""`yofo watch`: follow a run from outside; leaving it does not hurt the run."""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from yofo_mlx.commands.display import complain, shown_on
from yofo_mlx.errors import ExitCode
from yofo_mlx.runs import listing, notify
from yofo_mlx.runs.diagnosis import SHORT, explain
from yofo_mlx.runs.events import Event, EventReader
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.kinds import ResumedEvent
from yofo_mlx.system.signals import answered
from yofo_mlx.system.talk import say, say_next, say_now
from yofo_mlx.system.text import json_line
from yofo_mlx.training.stop import STOPPING

POLL_S = 0.2
CODES = {"finished": ExitCode.OK, "stopped": ExitCode.INTERRUPTED}


def watch(name: str, *, as_json: bool = False) -> ExitCode:
    """Show a run as it goes, from its beginning to its end; Ctrl-C leaves it alone."""
    run = listing.find(name)
    is_awaited = run.is_locked()
    try:
        _follow(run, as_json=as_json)
    except KeyboardInterrupt:
        say(f"\n{run.run_id} goes on; `yofo stop {listing.word(run)}` ends it")
        return ExitCode.OK
    if is_awaited:
        notify.on_terminal(run)
    return _end(run)


def attend(run: Run) -> ExitCode:
    """Show a run that was started from here; Ctrl-C asks it to stop, twice to leave its step."""

    def ask(number: int, frame: object) -> None:
        say_now(STOPPING)
        with suppress(OSError):  # nobody there, or a full disk
            run.request_stop()
            run.interrupt()

    with answered(ask):
        _follow(run)
    notify.on_terminal(run)
    return _end(run)


def say_how_to_use(run: Run) -> None:
    """Say what comes after the training: to measure it, or to ask it where no rows were kept."""
    tasks = (run.info().tasks or {}).values()
    has_queries = any(task.test or task.valid for task in tasks)
    say_next(f"{'eval' if has_queries else 'chat'} {listing.word(run)}")


def _follow(run: Run, *, as_json: bool = False) -> None:
    """Show events until nobody trains the run any more."""
    if as_json:
        for event in follow(run):
            print(json_line(event), flush=True)
        return
    with shown_on(sys.stderr) as display:
        for event in follow(run):
            display.show(event)


def follow(run: Run) -> Iterator[Event]:
    """Yield events until nobody trains the run any more.

    Where the run was resumed meanwhile, that is told, and what is known of it is passed over.
    """
    reader, restarts = run.events(), 0
    past = EventReader(run.past_path)
    deque(past, maxlen=0)  # what was taken back before is not news
    known: list[int] = []  # the hash of each event in the stream
    place = 0
    while True:
        alive = run.is_locked()  # before the events: what is written last is read after that
        for event in reader:
            if reader.restarts != restarts:
                restarts, place = reader.restarts, 0
                resumed = [one for one in past if one["kind"] == ResumedEvent.kind]
                yield from resumed[-1:]
            key = hash(json.dumps(event, sort_keys=True))
            if place < len(known) and known[place] == key:
                place += 1
                continue
            del known[place:]
            known.append(key)
            place += 1
            yield event
        if not alive:
            return
        time.sleep(POLL_S)


def _end(run: Run) -> ExitCode:
    """Say how a run stands that nobody trains."""
    status, death = run.status(), explain(run)
    if status == "created":
        say(f"{run.run_id} was never started")
        say_next(f"resume {listing.word(run)}")
    elif death:
        complain(run.run_id, status, death)
    elif status == "stopped":
        say_next(f"resume {listing.word(run)}")
    elif status == "finished":
        say_how_to_use(run)
    left = death is not None and death.cause == SHORT
    return CODES.get(status, ExitCode.MEMORY_SHORT if left else ExitCode.FAILED)
