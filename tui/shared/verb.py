"""A verb of yofo run as a process, for what needs more than the app may load."""

import subprocess

from textual.worker import NoActiveWorker, get_current_worker

from yofo_mlx.errors import Cancelled, RunError
from yofo_mlx.system import child

LOOK_S = 0.1  # between looks at whether anybody still waits


def ask(*words: str) -> str:
    """Return what `yofo WORDS` prints; it ends with the worker that waits for it."""
    return _run(words, outlives=False)


def call(*words: str) -> str:
    """Let `yofo WORDS` change something and return what it prints; it is never cut off.

    Quitting does not wait for it, and it goes on.
    """
    return _run(words, outlives=True)


def _run(words: tuple[str, ...], *, outlives: bool) -> str:
    """Raise what the verb said went wrong, Cancelled once the worker at work is cancelled."""
    process = subprocess.Popen(
        child.command("yofo_mlx.cli", *words),
        env=child.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=outlives,
    )
    while True:
        try:
            printed, said = process.communicate(timeout=LOOK_S)
            break
        except subprocess.TimeoutExpired:
            if not _is_waited_for():
                if not outlives:
                    process.kill()
                    process.wait()
                raise Cancelled(f"nobody waits for `yofo {words[0]}`") from None
    if process.returncode == 0:
        return printed
    message, hint = wrong(said)
    if not message:
        last = said.strip() or child.ending(process.returncode)
        raise RunError(f"`yofo {words[0]}`: {last}")
    raise RunError(message, hint)


def _is_waited_for() -> bool:
    try:
        return not get_current_worker().is_cancelled
    except NoActiveWorker:
        return True


def wrong(said: str) -> tuple[str, str]:
    """Return what a verb complains of on stderr, and what to do; empty where it does not."""
    _, found, words = said.rpartition("error: ")
    message, _, hint = words.strip().partition("\n") if found else ("", "", "")
    return message, hint.strip()
