"""Who can answer: runs with an adapter, and base models."""

from yofo_mlx.errors import YofoError
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.trained import trained
from yofo_mlx.system import paths
from yofo_mlx.system.text import shorten

from .conversation import Target


def choices() -> dict[str, str]:
    """Return what to offer: a value, and the words for it; runs with an adapter first."""
    usable = _usable()
    offered = {value_of(run): shorten(run.run_id, 60) for run in usable}
    models = dict.fromkeys(["tiny", *filter(None, map(_model, usable))])
    return offered | {f"model:{model}": f"{shorten(model, 50)} (base)" for model in models}


def _usable() -> list[Run]:
    try:
        return [run for run in listing.list_runs() if run.adapter_path.is_dir()]
    except OSError:  # a folder that cannot be read; Runs says so
        return []


def value_of(run: Run) -> str:
    """Return the value that stands for a run."""
    return f"run:{run.run_id}"


def target_of(value: object, use_adapter: bool) -> Target | None:
    """Return who a chosen value stands for."""
    kind, found, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not found:
        return None
    if kind != "run":
        return Target(model=name, use_adapter=False)
    return Target(run=name, use_adapter=use_adapter, stamp=_stamp(Run(paths.runs() / name)))


def _stamp(run: Run) -> float:
    try:
        return (run.adapter_path / "adapters.safetensors").stat().st_mtime
    except OSError:
        return 0.0


def _model(run: Run) -> str | None:
    try:
        return trained(run).recipe.model
    except (YofoError, OSError, ValueError, RecursionError):  # its own screen says what is wrong
        return None
