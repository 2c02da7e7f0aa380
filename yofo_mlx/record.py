"""What a run was made with, kept in run.json, and what differs when it goes on."""

from collections.abc import Iterator
from typing import Any

from yofo_mlx.environment import describe
from yofo_mlx.models import Base
from yofo_mlx.prompting.fingerprint import model_fingerprint
from yofo_mlx.recipe import Recipe
from yofo_mlx.workload import Workload

COUNTED = ("yofo", "mlx", "mlx-lm", "numpy")  # packages that can change a run's last bits


def make_record(recipe: Recipe, base: Base, workload: Workload) -> dict[str, Any]:
    """Return versions, machine, and fingerprints of model and data."""
    return describe() | {
        "model": {
            "name": recipe.model,
            "path": str(base.path),
            "revision": base.revision,
            "fingerprint": model_fingerprint(base.path),
        },
        "seed": recipe.seed,
        "data": {entry.task.name: entry.fingerprint for entry in workload.entries},
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is no longer as it was when the run began, as message and hint."""
    hint = "the run goes on with what is there now; it is not quite the run that began"
    data = _table(before, "data")
    names = sorted(data.keys() | now["data"].keys())
    if changed := [name for name in names if data.get(name) != now["data"].get(name)]:
        yield f"the data of {len(changed)} tasks changed since the run began: {changed[0]}", hint
    if _table(before, "model").get("fingerprint") != now["model"]["fingerprint"]:
        yield f"the files of model {now['model']['name']} changed since the run began", hint
    versions = _table(before, "versions")
    newer = [
        f"{name} {versions.get(name)} is now {now['versions'][name]}"
        for name in COUNTED
        if versions.get(name) != now["versions"][name]
    ]
    if before.get("device") != now["device"]:
        newer.append(f"{before.get('device')} is now {now['device']}")
    if newer:
        yield "; ".join(newer), "the rest of the run may differ in the last bits"


def _table(record: dict[str, Any], name: str) -> dict[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}
