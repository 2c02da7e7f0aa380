"""`yofo train` and `yofo resume` where `mlx.launch` gave them another rank than 0."""

import subprocess
import time

from yofo_mlx.errors import ExitCode, YofoError
from yofo_mlx.system import child, launcher
from yofo_mlx.system.signals import forwarding
from yofo_mlx.system.talk import say

PAUSE_S = 2  # as rank 0 pauses, which the others meet again


def follow(restarts: int = 0) -> int:
    """Take part in what rank 0 trains; with `restarts` again, that often, after it failed."""
    if restarts:
        return _supervise(restarts)
    from yofo_mlx.training import following

    try:
        return following.follow()
    except YofoError as error:
        error.message = f"rank {launcher.rank()} of {launcher.count()}: {error.message}"
        raise


def _supervise(restarts: int) -> int:
    """Follow in a child process, and again as often as it dies; return its last exit code."""
    for left in range(restarts, -1, -1):
        # Whatever a follower is called with, rank 0 says what is done.
        process = subprocess.Popen(
            child.command("yofo_mlx.cli", "resume", "last"), env=child.environment()
        )
        with forwarding(process):
            code = process.wait()
        if code in (ExitCode.OK, ExitCode.INTERRUPTED) or not left:
            break
        say(f"rank {launcher.rank()} ended ({child.ending(code)}); it is started again")
        time.sleep(PAUSE_S)
    return code if code >= 0 else int(ExitCode.FAILED)
