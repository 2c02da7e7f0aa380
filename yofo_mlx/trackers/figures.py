"""What a tracker gets of an event: its figures, by name."""

from typing import Any, Final

from yofo_mlx.runs.events import Event, figure
from yofo_mlx.runs.kinds import EvalEvent, StepEvent

OF_A_STEP: Final = (
    "loss", "lr", "grad_norm", "tokens", "targets", "tokens_per_s", "targets_per_s", "peak_gb",
    "memory_gb", "footprint_gb", "total_tokens",
)  # fmt: skip


def figures(event: Event) -> dict[str, float]:
    """Return the finite figures of a step or a validation, none of any other event.

    They are `train/loss`, `valid/loss`, `valid/exact/8_shots`, `valid/loss/8_shots` and so on.
    """
    if event["kind"] == StepEvent.kind:
        found = {f"train/{name}": figure(event, name) for name in OF_A_STEP}
    elif event["kind"] == EvalEvent.kind:
        found = {"valid/loss": figure(event, "loss")}
        rows = event.get("by_shots")
        for row in rows if isinstance(rows, list) else []:
            found |= _of_row(row)
    else:
        found = {}
    return {name: value for name, value in found.items() if value is not None}


def _of_row(row: Any) -> dict[str, float | None]:
    if not isinstance(row, dict):
        return {}
    metric, shots = row.get("metric"), row.get("shots")
    return {
        f"valid/{metric}/{shots}_shots": figure(row, "accuracy"),
        f"valid/loss_{metric}/{shots}_shots": figure(row, "loss"),
    }


def settings(recipe: Any, prefix: str = "") -> dict[str, str | int | float | bool]:
    """Return a recipe as one flat table, but for its data sets, of which the names are kept."""
    flat: dict[str, str | int | float | bool] = {}
    for key, value in (recipe or {}).items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= settings(value, f"{name}.")
        elif key == "tasks" and isinstance(value, list):
            flat[name] = ", ".join(str(task.get("source")) for task in value)
        elif isinstance(value, str | int | float | bool):
            flat[name] = value
        elif value is not None:
            flat[name] = str(value)
    return flat
