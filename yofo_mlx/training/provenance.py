"""What a run was made with, kept in run.json, and what differs when it goes on."""

from collections.abc import Iterator
from typing import Any

from yofo_mlx.models.base import Base
from yofo_mlx.planning.workload import Workload
from yofo_mlx.prompting.fingerprint import model_fingerprint
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.info import ModelInfo, RunInfo, TaskInfo
from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.system.quantities import plural

COUNTED = ("yofo", "mlx", "mlx-lm", "numpy")  # packages that can change a run's last bits


def make_record(recipe: Recipe, base: Base, workload: Workload) -> dict[str, Any]:
    """Return the fields of run.json that say versions, machine, and fingerprints."""
    return versions_and_machine() | {
        "model": ModelInfo(
            name=recipe.model,
            path=str(base.path),
            revision=base.revision,
            fingerprint=model_fingerprint(base.path),
        ),
        "seed": recipe.seed,
        "data": {entry.task.name: entry.fingerprint for entry in workload.entries},
        "tasks": {entry.task.name: TaskInfo.of(entry) for entry in workload.entries},
    }


def changes(before: RunInfo, now: RunInfo) -> Iterator[tuple[str, str]]:
    """Yield what is no longer as it was when the run began, as message and hint."""
    hint = "the run goes on with what is there now; it is not quite the run that began"
    data, data_now = before.data or {}, now.data or {}
    names = sorted(data.keys() | data_now.keys())
    if changed := [name for name in names if data.get(name) != data_now.get(name)]:
        yield (
            f"the data of {plural(len(changed), 'task')} changed since the run began: {changed[0]}",
            hint,
        )
    if before.model and now.model and before.model.fingerprint != now.model.fingerprint:
        yield f"the files of model {now.model.name} changed since the run began", hint
    newer = [
        f"{name} {before.versions.get(name)} is now {now.versions[name]}"
        for name in COUNTED
        if before.versions.get(name) != now.versions[name]
    ]
    if before.device != now.device:
        newer.append(f"{before.device} is now {now.device}")
    if now.blas_threads and now.blas_threads != (before.blas_threads or 1):
        newer.append(f"threads of OpenBLAS: {before.blas_threads or 1}, now {now.blas_threads}")
    if newer:
        yield "; ".join(newer), "the rest of the run may differ in the last bits"
