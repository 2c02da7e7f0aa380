"""`yofo stop`: ask a run to end, after its step or in the middle of it."""

import time

from yofo_mlx.errors import ExitCode, RunError
from yofo_mlx.runs import listing, lock
from yofo_mlx.runs.events import figure, last_event
from yofo_mlx.runs.folder import GOING_ON, Run
from yofo_mlx.system.talk import say, say_next

ANSWER_S = 10.0
POLL_S = 0.1


def stop(name: str, *, now: bool = False) -> ExitCode:
    """Ask a run to finish its step and save; with `now` to leave its step, and wait for that."""
    run = listing.find(name)
    status = run.status()
    if status not in GOING_ON:
        raise RunError(
            f"run {run.run_id} is not running: {status}", "`yofo runs` says how runs stand"
        )
    run.request_stop(now=now)
    if now:
        return _leave(run)
    words = "will finish its step, save and exit"
    words = f"was asked before, and {words}" if status == "stopping" else words
    say(f"{run.run_id} {words}; `yofo stop {listing.word(run)} --now` leaves the step")
    say_next(f"watch {listing.word(run)}")
    return ExitCode.OK


def _leave(run: Run) -> ExitCode:
    """Interrupt what a trainer does and wait until it has gone; say so if it does not go."""
    end, interrupted = time.monotonic() + ANSWER_S, False
    while (pid := lock.holder(run.path)) is not None:
        interrupted = interrupted or run.interrupt()
        if time.monotonic() > end:
            raise RunError(
                f"{run.run_id} has not answered for {ANSWER_S:.0f} s: it is process {pid}",
                f"it may be at a long piece of its step: wait, or `kill -9 {pid}`; then"
                f" `yofo resume {listing.word(run)}` goes on from the last checkpoint",
            )
        time.sleep(POLL_S)
    step = figure(last_event(run.events_path), "step")
    after = f" after step {step:.0f}" if step else ""
    say(f"{run.run_id}: {run.status()}{after}")
    say_next(f"resume {listing.word(run)}")
    return ExitCode.OK
