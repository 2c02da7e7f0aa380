"""Between the shell and the verbs: standard streams that take any text, errors to exit codes."""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from yofo_mlx.errors import ExitCode, YofoError
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import clip, printable

MOST_WORDS = 4000  # characters of an error, whatever it quotes


def run(act: Callable[[], Any]) -> int:
    """Run a command line to its exit code; a user's mistake is two lines, never a traceback."""
    _open_standard_streams()
    try:
        code = act()
        sys.stdout.flush()
    except YofoError as error:
        code = _complain(error)
    except KeyboardInterrupt:
        say("interrupted")
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        code = _reader_left()
    except OSError as error:
        code = _complain_of_disk(error)
    except SystemExit as leaving:  # click's answer to a broken pipe is exit code 1
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        code = _reader_left()
    except Exception as error:
        code = _usage(error)
    return int(code or 0)


def _open_standard_streams() -> None:
    """Make the standard streams take any text; closed ones become the null device.

    That is before a file of ours gets the number of a closed one.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):  # what its encoding lacks is shown by its number
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reader_left() -> ExitCode:
    """Let nothing more be flushed to a reader of our output that is gone."""
    _forget_output()
    return ExitCode.OK


def _forget_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _complain(error: YofoError) -> ExitCode:
    say(f"error: {clip(printable(error.message), MOST_WORDS)}")
    if error.hint:
        say(f"  {printable(error.hint)}")
    return error.exit_code


def _complain_of_disk(error: OSError) -> ExitCode:
    from yofo_mlx.system import paths
    from yofo_mlx.system.files import FULL, disk_error, is_full

    if not _is_somewhere():
        return _complain(YofoError("the folder you are in is gone", "go to another one with `cd`"))
    if error.errno in FULL and error.filename is None and not is_full(paths.runs()):
        _forget_output()
        wrong = f"standard output cannot be written: {error.strerror}"
        return _complain(YofoError(wrong, "send it elsewhere, or make room there"))
    return _complain(disk_error(error, paths.runs()))


def _is_somewhere() -> bool:
    try:
        return Path.cwd().is_absolute()
    except OSError:
        return False


def _usage(error: Exception) -> ExitCode:
    """Show a mistake on the command line; anything else is a defect and keeps its traceback."""
    message = getattr(error, "format_message", None)
    if message is None:
        raise error
    _speak_plainly(error)
    say(f"error: {clip(printable(_unknown_option(error) or message()), MOST_WORDS)}")
    context = getattr(error, "ctx", None)
    if context is None or context.parent is None:
        say("  `yofo --help` lists the verbs, `yofo VERB --help` their options")
    else:
        say(f"  `{context.command_path} --help` shows how to call it")
    return ExitCode.USAGE


def _speak_plainly(error: Exception) -> None:
    """Say of a value that its option does not take what a recipe's checker says of a key's."""
    details = getattr(error.__cause__, "errors", None)
    if details is None:
        return
    from yofo_mlx.recipe.file import plain

    [first, *_] = details()
    words, given = plain(first["msg"]), repr(first["input"])
    error.message = words if given in words else f"{words}, not {clip(given, 60)}"  # type: ignore[attr-defined]


def _unknown_option(error: Exception) -> str | None:
    """Say what is like an unknown option: another one, or a key of the recipe."""
    given = getattr(error, "option_name", None)
    if given is None:
        return None
    import difflib

    from yofo_mlx.recipe.file import close_key

    options = {name.lstrip("-"): name for name in getattr(error, "possibilities", None) or ()}
    close = difflib.get_close_matches(given.lstrip("-"), options)
    words = f"there is no option {given}"
    if close:
        return f"{words}; did you mean {options[close[0]]}?"
    command = getattr(getattr(error, "ctx", None), "command", None)
    if not any("--set" in parameter.opts for parameter in getattr(command, "params", ())):
        return words
    key = close_key(given.lstrip("-").replace("-", "_")) or "SECTION.KEY"
    return f"{words}; what a recipe says is changed by --set {key}=VALUE"
