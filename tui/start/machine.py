"""This machine, and the models it can train: read without MLX in this process."""

import json
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.system import paths
from yofo_mlx.system.main_memory import main_memory
from yofo_mlx.system.quantities import size

from ..shared.verb import ask

LENGTHS = (4096, 16384, 65536)  # tokens of an episode, as `yofo models` has them


@dataclass(frozen=True)
class FittingModel:
    """A model, and how long an episode of it fits this machine."""

    name: str
    nbytes: int
    is_here: bool
    up_to: int | None  # tokens; None: not known
    fits: tuple[bool, ...]  # by LENGTHS

    @classmethod
    def of(cls, row: dict[str, Any]) -> "FittingModel":
        """Return what a row of `yofo models --json` says."""
        longest, context = row.get("longest"), row.get("context")
        up_to = None if longest is None else min(longest, context or longest)
        fits = row.get("fits") or {}
        name = str(row["name"])
        return cls(
            name=Path(name).name if Path(name).is_absolute() else name.rsplit("/", 1)[-1],
            nbytes=int(row["nbytes"]),
            is_here=row.get("path") is not None,
            up_to=up_to,
            fits=tuple(bool(fits.get(str(length))) for length in LENGTHS),
        )


def about_machine() -> str:
    """Say what this machine is, how much memory it has, and how much of its disk is free."""
    told = [_name(), f"{size(main_memory())} memory"]
    home = next(path for path in (paths.home(), *paths.home().parents) if path.is_dir())
    return " · ".join([*told, f"{size(shutil.disk_usage(home).free)} free on the disk"])


def fitting_models() -> list[FittingModel]:
    """Ask a process of its own, which has MLX, for the models; YofoError if it cannot say."""
    return [FittingModel.of(row) for row in json.loads(ask("models", "--json"))]


def _name() -> str:
    if platform.system() != "Darwin":
        return f"{platform.system()} {platform.machine()}"
    asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=5)
    version = platform.mac_ver()[0]
    return f"{done.stdout.strip() or 'Mac'} · macOS {version}"
