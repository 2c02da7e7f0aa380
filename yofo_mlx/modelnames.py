"""What the name of a model stands for, by its looks: the same in whatever folder we are."""

import os
from pathlib import Path
from typing import Final

EMBEDDED: Final = "tiny"
SUITE: Final = "tiny:"  # how the sources of its tasks begin


def is_on_hub(name: str) -> bool:
    """Tell whether a model is named by its id on the hub."""
    return name != EMBEDDED and not is_path(name)


def is_path(name: str) -> bool:
    """Tell whether a name is a path."""
    return name.startswith((".", "~", os.sep))


def is_folder(name: str) -> bool:
    """Tell whether there is a folder of this name."""
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, the home of nobody
        return False
