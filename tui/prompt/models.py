"""Who can answer: runs with an adapter, adapters of folders, base models; who beside another."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from yofo_mlx.errors import YofoError
from yofo_mlx.models import adapter_files
from yofo_mlx.prompting import held
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.protocol import BASE
from yofo_mlx.recipe.names import is_gguf
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.trained import trained
from yofo_mlx.system import paths
from yofo_mlx.system.text import shorten

from ..shared.dropped import path_in

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
    return offered | {f"model:{model}": words_of(model) for model in models}


def words_of(model: str) -> str:
    """Return how a base model is called here: one in a folder by the folder's name."""
    name = Path(model).name if Path(model).is_absolute() else model
    return f"{shorten(name, 50)} (base)"


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
    is_base = value.startswith("model:")
    found = {ALONE: "alone"} | ({} if is_base else {BASE: "base model"})
    base = value.removeprefix("model:") if is_base else bases.get(value)
    same = (one for one in offered if one != value and base and bases.get(one) == base)
    return found | {one: offered[one] for one in same}


def _is_run(value: str) -> bool:
    return value.startswith("run:")


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder, and the model that it says it is of; empty where it does not."""

    folder: Path
    base: str


def brought(text: str) -> Adapter | str | None:
    """Return the adapter, or the model by its path, that a dropped text is the whole path of."""
    path = path_in(text)
    if path is None or not path.is_absolute():
        return None
    return _adapter_at(path) or (str(path) if _is_model(path) else None)


def _is_model(path: Path) -> bool:
    has_weights = path.is_dir() and any(path.glob("*.safetensors"))
    return (path.is_file() and is_gguf(path.name)) or (
        has_weights and (path / "config.json").is_file()
    )


def _adapter_at(path: Path) -> Adapter | None:
    place = path.parent if path.name == adapter_files.WEIGHTS_FILE else path
    if not place.is_dir():
        return None
    try:
        folder = adapter_files.folder_of(str(place))
        adapter_files.check_files(folder)
        return Adapter(folder, adapter_files.read_settings(folder).base)
    except (YofoError, OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _usable() -> list[Run]:
    try:
        return [run for run in listing.list_runs() if run.adapter_path.is_dir()]
    except OSError:  # a folder that cannot be read; Runs says so
        return []


def value_of(run: Run) -> str:
    """Return the value that stands for a run."""
    return f"run:{run.run_id}"


def model_of(
    value: object,
    use_adapter: bool,
    beside: object = ALONE,
    bases: Mapping[str, str] = NOTHING_KNOWN,
) -> Model | None:
    """Return who a chosen value stands for, with who answers beside it."""
    if not isinstance(value, str) or ":" not in value:
        return None
    model = _alone(value, use_adapter, bases)
    if not isinstance(beside, str) or beside == ALONE or model.has_adapter > use_adapter:
        return model
    other = held.beside(BASE) if beside == BASE else replace(_alone(beside, True, {}), model=None)
    return replace(model, beside=(other,))


def _alone(value: str, use_adapter: bool, bases: Mapping[str, str]) -> Model:
    kind, _, name = value.partition(":")
    if kind == "run":
        stamp = adapter_files.stamp(Run(paths.runs() / name).adapter_path)
        return Model(run=name, use_adapter=use_adapter, stamp=stamp)
    if kind == "adapter":
        stamp = adapter_files.stamp(Path(name))
        return Model(model=bases.get(value), adapter=name, use_adapter=use_adapter, stamp=stamp)
    return Model(model=name)


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
