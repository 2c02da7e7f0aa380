"""Who can answer: runs with an adapter, and base models; and who of them beside another."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from yofo_mlx.errors import YofoError
from yofo_mlx.models import adapter_files
from yofo_mlx.prompting import held
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.protocol import BASE
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.trained import trained
from yofo_mlx.system import paths
from yofo_mlx.system.text import shorten

ALONE: Final = "alone"  # the value that stands for nobody beside
NOTHING_KNOWN: Final[Mapping[str, str]] = {}


@dataclass(frozen=True)
class Speaker:
    """One of those that answer: its name in a session, and how it is called here."""

    subject: str
    words: str
    is_adapted: bool


def choices(bases: Mapping[str, str] = NOTHING_KNOWN) -> dict[str, str]:
    """Return what to offer: a value, and the words for it; runs with an adapter first."""
    offered = {value_of(run): shorten(run.run_id, 60) for run in _usable()}
    models = dict.fromkeys(["tiny", *(bases[one] for one in offered if one in bases)])
    return offered | {f"model:{model}": f"{shorten(model, 50)} (base)" for model in models}


def bases_of(values: Iterable[str]) -> dict[str, str]:
    """Return the base models of runs, by the value that stands for each; reads their recipes."""
    runs = {one: Run(paths.runs() / one.removeprefix("run:")) for one in values if _is_run(one)}
    return {one: base for one, run in runs.items() if (base := _base(run))}


def choices_beside(
    value: object, offered: Mapping[str, str], bases: Mapping[str, str]
) -> dict[str, str]:
    """Return who may answer beside a chosen one: its base model, runs on the same one, nobody."""
    if not isinstance(value, str):
        return {ALONE: "alone"}
    base = bases.get(value) if _is_run(value) else value.removeprefix("model:")
    found = {ALONE: "alone"} | ({BASE: "base model"} if _is_run(value) else {})
    same = (one for one in offered if one != value and base and bases.get(one) == base)
    return found | {one: offered[one] for one in same}


def _is_run(value: str) -> bool:
    return value.startswith("run:")


def _usable() -> list[Run]:
    try:
        return [run for run in listing.list_runs() if run.adapter_path.is_dir()]
    except OSError:  # a folder that cannot be read; Runs says so
        return []


def value_of(run: Run) -> str:
    """Return the value that stands for a run."""
    return f"run:{run.run_id}"


def model_of(value: object, use_adapter: bool, beside: object = ALONE) -> Model | None:
    """Return who a chosen value stands for, with who answers beside it."""
    kind, found, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not found:
        return None
    model = _of_run(name, use_adapter) if kind == "run" else Model(model=name)
    if not isinstance(beside, str) or beside == ALONE or not (use_adapter or kind != "run"):
        return model
    other = held.beside(BASE) if beside == BASE else _of_run(beside.partition(":")[2], True)
    return replace(model, beside=(other,))


def speakers(model: Model) -> list[Speaker]:
    """Return those who answer, in their order; of several adapters each by its run's name."""
    everyone = [model, *model.beside]
    several = sum(one.is_adapted for one in everyone) > 1
    return list(_speakers(everyone, several))


def _speakers(everyone: list[Model], several: bool) -> Iterator[Speaker]:
    for one in everyone:
        if one.is_adapted:
            name = one.run or one.adapter or ""
            yield Speaker(name, shorten(name, 40) if several else "adapter", True)
        else:
            yield Speaker(BASE, "base model", False)


def _of_run(name: str, use_adapter: bool) -> Model:
    stamp = adapter_files.stamp(Run(paths.runs() / name).adapter_path)
    return Model(run=name, use_adapter=use_adapter, stamp=stamp)


def _base(run: Run) -> str | None:
    try:
        return _base_of(run, run.recipe_path.stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=1000)
def _base_of(run: Run, _stamp: int) -> str | None:
    try:
        return trained(run).recipe.model
    except (YofoError, OSError, ValueError, RecursionError):  # its own screen says what is wrong
        return None
