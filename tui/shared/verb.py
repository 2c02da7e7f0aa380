"""A verb of yofo run as a process, for what needs more than the app may load."""

import subprocess

from yofo_mlx.errors import RunError
from yofo_mlx.system import child


def call(*words: str) -> str:
    """Run `yofo WORDS` to its end and return what it printed; raise what it said went wrong."""
    done = subprocess.run(
        child.command("yofo_mlx.cli", *words),
        env=child.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode == 0:
        return done.stdout
    _, found, said = done.stderr.rpartition("error: ")
    message, _, hint = said.strip().partition("\n")
    words_of_it = message or child.ending(done.returncode)
    raise RunError(words_of_it if found else f"`yofo {words[0]}`: {words_of_it}", hint.strip())
