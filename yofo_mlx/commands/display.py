"""Progress of a run on the terminal, drawn from its events."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TextIO

from yofo_mlx.runs.diagnosis import Death
from yofo_mlx.runs.events import Event, figure
from yofo_mlx.system.files import FULL
from yofo_mlx.system.quantities import duration, plural, size
from yofo_mlx.system.talk import can_draw, say
from yofo_mlx.system.text import printable

QUIET_S = 60.0  # without a line, before any sign of life is worth one


# What an event of another version, or a damaged one, may raise where it is put into words.
_ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class Display(Protocol):
    """Shows events as they come."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


@contextmanager
def shown_on(stream: TextIO) -> Iterator[Display]:
    """Yield a live display for a terminal, plain lines for anything else.

    A terminal that is closed, or a reader that leaves, ends what is shown and nothing else.
    """
    display = _Steady(LiveDisplay(stream) if can_draw(stream) else PlainDisplay(stream))
    try:
        yield display
    finally:
        display.close()


class _Steady:
    """A display whose stream, or whose events, may be bad."""

    def __init__(self, display: Display) -> None:
        self._display: Display | None = display

    def show(self, event: Event) -> None:
        try:
            if self._display is not None:
                self._display.show(event)
        except OSError as error:
            if error.errno not in FULL:  # a console on a full disk may find room again
                self._display = None
        except _ODD:
            return

    def close(self) -> None:
        with suppress(OSError):
            if self._display is not None:
                self._display.close()


class PlainDisplay:
    """One line for what matters; a step for every twentieth of the run, so that logs stay short.

    After a minute without a line there is one for any sign of life.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_share = 0.0
        self._said = time.monotonic()

    def show(self, event: Event) -> None:
        """Print the event if it is worth a line."""
        is_quiet = time.monotonic() - self._said >= QUIET_S
        if event["kind"] == "step":
            share = _share(event)
            if share < self._next_share and not is_quiet:
                return
            self._next_share = share + 0.05
        elif event["kind"] in ("extended", "resumed"):
            self._next_share = 0.0
        line = event_line(event)
        if event["kind"] == "progress" and is_quiet:
            line = printable(f"step {event['step']:>5}  {_phase(event)}")
        if line:
            print(line, file=self._stream, flush=True)
            self._said = time.monotonic()

    def close(self) -> None:
        """Leave nothing behind."""


class LiveDisplay:
    """A progress bar that the step events move, and a line for everything else."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(file=stream, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("loading", total=1.0, numbers="")
        self._progress.start()

    def show(self, event: Event) -> None:
        """Move the bar or print a line above it."""
        kind = event["kind"]
        if kind == "step":
            self._progress.update(
                self._task,
                completed=_share(event),
                description=printable(f"step {event['step']}"),
                numbers=printable(numbers(event)),
            )
        elif kind == "progress":
            self._progress.update(self._task, description=printable(_phase(event)))
        elif line := event_line(event):
            self._progress.console.print(line, markup=False)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


def _share(event: Event) -> float:
    """Return the share of the run that is done; ValueError where that is not told."""
    share = figure(event, "share")
    if share is None:
        raise ValueError("no share")
    return min(max(share, 0.0), 1.0)


def _phase(event: Event) -> str:
    of = f"/{event['total']}" if event["total"] else ""
    count = f" {event['done']}{of}" if event["done"] or of else ""
    return f"{event['phase']}{count}"


def numbers(event: Event) -> str:
    """Return the figures of a step."""
    process = figure(event, "footprint_gb")
    whole = "" if process is None else f", process {process:.2f}"
    return (
        f"loss {_float(event['loss'])}  {event['tokens_per_s']:,.0f} tok/s"
        f"  {event['targets_per_s']:,.0f} targets/s"
        f"  peak {event['peak_gb']:.2f} GB, held {event['memory_gb']:.2f}{whole}"
        f"  {duration(event['seconds_left'])} left"
    )


def event_line(event: Event) -> str:
    """Return an event as a line (a warning as two), empty if it is not worth one."""
    describer = _LINES.get(event["kind"])
    lines = describer(event).split("\n") if describer else []
    return "\n".join(printable(line) for line in lines)


def complain(run_id: str, status: str, death: Death) -> None:
    """Say on stderr how a run ended that did not end well, with its last words."""
    say(f"{run_id} {status}: {death.message}")
    if death.hint:
        say(f"  {death.hint}")
    if death.last_words and status == "died":
        say("  last words of the console:")
        for line in death.last_words:
            say(f"    {line}")


def shots_line(rows: list[dict[str, Any]]) -> str:
    """Return scores by shots on one line, each metric's apart."""
    parts = []
    for metric in dict.fromkeys(row.get("metric", "") for row in rows):
        own = [row for row in rows if row.get("metric", "") == metric]
        tasks = own[0].get("tasks")
        of = own[0].get("of", tasks)
        parts.append(f"{metric} ({tasks} of {of} tasks)" if tasks != of else f"{metric}")
        parts += [f"{row['shots']}:{100 * row['accuracy']:.0f}%" for row in own]
    return "  ".join(part for part in parts if part)


def _started(event: Event) -> str:
    adapter, tasks = event.get("init_adapter"), event["train_tasks"]
    return (
        f"run {event['run_id']}: {event['model']}, {plural(tasks, 'training task')},"
        f" {event['held_out_tasks']} held out, {event['trainable_parameters']:,} parameters"
        + (f"\n  begun with the adapter in {adapter}" if adapter else "")
    )


def _plan(event: Event) -> str:
    way = f"in chunks of {event['chunk']} tokens" if event["chunk"] else "whole episodes at once"
    needed, limit = event["model_gb"] + event["step_gb"], event["limit_gb"]
    return f"plan: {way}, about {size(needed * 1e9)} of {size(limit * 1e9)} for the longest"


def _step(event: Event) -> str:
    return f"step {event['step']:>5}  {100 * event['share']:3.0f}%  {numbers(event)}"


def _extended(event: Event) -> str:
    unit = "steps" if "steps" in event else "tokens"
    line = f"its length is now {event[unit]} {unit}, it was {event['before']}"
    before, now = event["lr_before"], event["lr"]
    if before is None:
        return line
    rate = f"goes from {before:.3g} to {now:.3g}" if now != before else f"stays at {now:.3g}"
    return f"{line}; the learning rate {rate}"


def _eval(event: Event) -> str:
    best = "  (best)" if event["best"] else ""
    rows = shots_line(event["by_shots"])
    return f"step {event['step']:>5}  valid loss {_float(event['loss'])}{best}  by shots: {rows}"


def _best(event: Event) -> str:
    return f", best at {event['best_step']}" if event["best_step"] else ""


def _stopped(event: Event) -> str:
    reason = event.get("reason", "asked to stop")
    if reason != "asked to stop":
        return f"stopped: {reason}"
    return f"stopped after step {event['step']}; a checkpoint is saved"


def _warning(event: Event) -> str:
    return f"warning: {event['message']}" + (f"\n  {event['hint']}" if event["hint"] else "")


def _float(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


_LINES: dict[str, Callable[[Event], str]] = {
    "started": _started,
    "extended": _extended,
    "plan": _plan,
    "step": _step,
    "eval": _eval,
    "warning": _warning,
    "finished": lambda event: f"finished after {plural(event['step'], 'step')}" + _best(event),
    "resumed": lambda event: f"going on from step {event['step']}",
    "stopped": _stopped,
}
