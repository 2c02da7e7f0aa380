"""`python -m yofo_mlx.rehearsal.limited PROGRAM...`: run it with little time, memory and disk.

It has no shell, a session of its own, and ends with all that it has started. This is a fence
against accidents, no jail: it may read files and reach the network as its user may.
"""

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress

SECONDS = 10
MEMORY = 2 * 2**30  # bytes of addresses; macOS does not hold a process to it
FILE = 2**26  # bytes of a file that it writes
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL")  # of the environment: no secrets


def run(command: list[str], seconds: float = SECONDS) -> int:
    """Return the exit status of a command, 124 if its time ran out."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, FILE),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return 124
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
