"""What a user gives before queries are asked: demonstrations."""

import os
import sys
from collections.abc import Sequence

from yofo_mlx.errors import DataError
from yofo_mlx.prompting import demonstrations
from yofo_mlx.prompting.demonstrations import Parsed, Style
from yofo_mlx.prompting.protocol import CACHE_SUFFIX
from yofo_mlx.system.text import is_utf8, reason, shorten


def argument(text: str) -> str:
    """Return a text of the command line, read as UTF-8 where the locale knows ASCII alone."""
    return text if is_utf8(text) else os.fsencode(text).decode("utf-8", "surrogateescape")


def parsed(names: Sequence[str], style: Style) -> Parsed | None:
    """Read the demonstrations of all that is named, but of no prompt cache."""
    parts = [_part(name, style) for name in names if not name.endswith(CACHE_SUFFIX)]
    return demonstrations.joined(parts) if parts else None


def _part(name: str, style: Style) -> Parsed:
    if name == "-":
        found = demonstrations.parse(_standard_input(), style)
    else:
        found = demonstrations.read(name, style)
    if not found.examples:
        shown = "standard input" if name == "-" else shorten(name, 500)
        why = f": {found.problems[0]}" if found.problems else ""
        hint = "write lines such as `input -> output`, or say --input and --output"
        raise DataError(f"{shown} holds no demonstrations{why}", hint)
    return found


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        hint = "convert it: iconv -f WINDOWS-1252 -t UTF-8"
        raise DataError(f"standard input is not UTF-8 ({reason(error)})", hint) from error
