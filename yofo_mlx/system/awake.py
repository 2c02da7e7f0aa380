"""Keep a Mac from falling asleep while a run goes on."""

import os
import shutil
import subprocess
import sys

from yofo_mlx.system.talk import say


def keep_awake() -> None:
    """Keep the system awake until this process ends; elsewhere than on a Mac do nothing.

    Apple's `caffeinate` does it and watches for our end. A closed lid still puts a laptop to sleep
    unless it has power and a display.
    """
    command = shutil.which("caffeinate") if sys.platform == "darwin" else None
    if command is None:
        return
    try:
        subprocess.Popen(
            [command, "-i", "-m", "-s", "-w", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        say(f"warning: the Mac may fall asleep: {error}")
