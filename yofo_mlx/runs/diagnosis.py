"""Why a trainer ended that could not say so itself: the last words of its console, explained.

An abort in Metal or a kill is past any `except`; what is left is what was printed before it.
"""

import os
import re
import time
from dataclasses import dataclass
from typing import Final

from yofo_mlx import __version__
from yofo_mlx.runs.events import last_event
from yofo_mlx.runs.folder import ENDED, TROUBLE, Run
from yofo_mlx.runs.listing import word
from yofo_mlx.system.files import is_full
from yofo_mlx.system.text import shorten

MEMORY: Final = "out of memory"
SHORT: Final = "memory short"
WATCHDOG: Final = "GPU watchdog"
DISK: Final = "disk full"
KILLED: Final = "killed"
RANK: Final = "lost rank"
SHOWN: Final = 12  # lines
_BEGIN: Final = "=== yofo"


@dataclass(frozen=True)
class Cause:
    """A way to die that is known by its words."""

    name: str
    pattern: str
    words: str
    hint: str


# The messages are those of Metal, MLX (see mlx issues 3267 and 4464), CUDA, Python and Linux.
CAUSES: Final = (
    Cause(
        WATCHDOG,
        r"ImpactingInteractivity|CallbackErrorTimeout|GPU Timeout|GPU Hang",
        "the GPU watchdog ended a command that kept the screen waiting",
        "let the display sleep, or work over ssh; `yofo resume` goes on in smaller chunks",
    ),
    Cause(
        RANK,
        r"\[(ring|jaccl|nccl)\]",
        "another process of the run is gone, or could not be reached",
        "its own words say why; `yofo resume` goes on, under mlx.launch or alone",
    ),
    Cause(
        "resource limit",
        r"Resource limit \(\d+\) exceeded",
        "MLX had more buffers than Metal allows",
        "`yofo resume` goes on with a fresh process, which has none",
    ),
    Cause(
        SHORT,
        r"memory ran short|\(what is free now",  # of a run that left, of one that was refused
        "others took the memory that it needed",
        "close other programs; `yofo resume` goes on, in smaller pieces if it has to",
    ),
    Cause(
        MEMORY,
        r"CallbackErrorOutOfMemory|Insufficient Memory|Unable to allocate \d+|bad_alloc"
        r"|Attempting to allocate \d+|cuda\w*ErrorMemoryAllocation|MemoryError|[Oo]ut of memory",
        "there was not enough memory",
        "close other programs; `yofo resume` goes on in smaller chunks",
    ),
    Cause(
        DISK,
        r"No space left on device|Disk quota exceeded|the disk (of .* )?is full",
        "the disk was full",
        "make room; then `yofo resume` goes on from the last checkpoint",
    ),
    Cause(
        "crash",
        r"Fatal Python error|Segmentation fault|terminating due to|terminate called",
        "it crashed",
        "`yofo resume` goes on from the last checkpoint; please report the lines above",
    ),
)
# What yofo prints itself speaks of no death, whatever it quotes.
_OWN: Final = re.compile(
    r"^(warning: |  |step +\d|plan: |run \S+: |going on from |the disk is full: )"
)
# A crash leaves words, since the trainer has Python's fault handler on; a kill leaves none.
_SILENT: Final = Cause(
    KILLED,
    "",
    "it was killed: by the system for want of memory, by `kill -9`, or by a power cut",
    "`yofo resume` goes on; if it was the memory, start anew with a lower memory.limit_gb",
)
_FULL_NOW: Final = next(cause for cause in CAUSES if cause.name == DISK)
_FRAME = re.compile(r'^  File "|^(Current thread|Thread) 0x|^Extension modules:|^  <')


@dataclass(frozen=True)
class Death:
    """How a run ended that did not end well."""

    cause: str
    message: str
    hint: str
    last_words: tuple[str, ...]


def explain(run: Run) -> Death | None:
    """Return why a run failed or died, None if its last event is another end or there is none.

    Says nothing about a run that is still alive: its last words are not its last.
    """
    last = last_event(run.events_path)
    if last is not None and last["kind"] in ENDED - TROUBLE:
        return None
    words = last_words(run)
    if last is not None and last["kind"] == "failed":
        message, hint = str(last.get("message", "")), str(last.get("hint", ""))
        return Death(str(last.get("cause", "")), message, _of_run(run, hint), words)
    foreign = [line for line in words if not _OWN.search(line)]
    cause = find_cause("\n".join(foreign)) or (_FULL_NOW if is_full(run.path) else _SILENT)
    return Death(cause.name, cause.words, _of_run(run, cause.hint), words)


def _of_run(run: Run, hint: str) -> str:
    """Name the run in a command that is told, so that it works when pasted."""
    return hint.replace("`yofo resume`", f"`yofo resume {word(run)}`")


def find_cause(text: str) -> Cause | None:
    """Return the known cause that a text speaks of."""
    return next((cause for cause in CAUSES if re.search(cause.pattern, text)), None)


def first_words(what: str) -> str:
    """Return the line that begins a trainer's part of the console."""
    return f"{_BEGIN} {__version__}, {what}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n"


def last_words(run: Run, most: int = SHOWN) -> tuple[str, ...]:
    """Return the last lines that the newest trainer printed, as a terminal would have left them.

    The frames of a fault handler's traceback are left out.
    """
    try:
        with run.console_path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 32 * 1024))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    begins = [place for place, line in enumerate(lines) if line.startswith(_BEGIN)]
    newest = lines[begins[-1] + 1 :] if begins else lines
    said = [line for line in newest if line.strip() and not _FRAME.search(line)]
    return tuple(shorten(line, 400) for line in said[-most:])
