"""Where runs, recipes and caches live."""

import os
from pathlib import Path


def home() -> Path:
    """Return the folder of everything yofo keeps: `YOFO_HOME`, else the XDG data directory."""
    if chosen := os.environ.get("YOFO_HOME"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "yofo"


def runs() -> Path:
    """Return the folder of run folders."""
    return home() / "runs"


def evaluations() -> Path:
    """Return the folder of evaluations that belong to no run."""
    return home() / "evaluations"


def base_results() -> Path:
    """Return the folder of what base models scored, which evaluations share."""
    return home() / "base-results"


def prompts() -> Path:
    """Return the folder of saved prompt caches."""
    return home() / "prompts"


def demos() -> Path:
    """Return the folder of named demonstration sets."""
    return home() / "demos"


def models() -> Path:
    """Return the folder of models that were made from GGUF files."""
    return home() / "models"


def adapters() -> Path:
    """Return the folder of adapters that were made from PEFT's."""
    return home() / "adapters"


def studies() -> Path:
    """Return the folder of studies that name no other."""
    return home() / "studies"


def shipped_recipes() -> Path:
    """Return the folder of the recipes that come with yofo."""
    package = Path(__file__).parents[1]
    installed = package / "recipe" / "shipped"
    return installed if installed.is_dir() else package.parent / "recipes"
