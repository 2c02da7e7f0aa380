"""What a run was made with: versions, machine, source commit."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("yofo", "mlx", "mlx-lm", "transformers", "numpy")


def versions_and_machine() -> dict[str, Any]:
    """Return versions and machine, for run.json and benchmark tables."""
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "device": device(),
        "git_commit": _commit(),
    }


def on_cpu() -> bool:
    """Tell whether MLX computes on a CPU."""
    import mlx.core as mx

    return bool(mx.default_device() == mx.Device(mx.cpu))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def device() -> str:
    """Return the name of what MLX computes on, such as a chip."""
    import mlx.core as mx

    info = mx.device_info() if hasattr(mx, "device_info") else {}
    return str(info.get("device_name") or info.get("architecture") or mx.default_device())


def _commit() -> str:
    """Return the commit of the source tree, empty where yofo is installed from a wheel."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
