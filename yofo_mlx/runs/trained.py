"""What a run trained: the one place that every later use of the run asks."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from yofo_mlx.errors import RunError, YofoError
from yofo_mlx.recipe.file import read_toml, to_toml, validate
from yofo_mlx.recipe.names import EMBEDDED, is_file, is_folder, is_gguf, is_on_hub
from yofo_mlx.recipe.schema import Recipe, TaskSource, Template
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import ModelInfo, RunInfo
from yofo_mlx.runs.listing import word
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.system.files import write_text

Note = tuple[str, str]  # message and hint of a warning


class Trained(NamedTuple):
    """A run's recipe as it began, its model pinned; and what no longer says the same."""

    recipe: Recipe
    notes: list[Note]


def trained(run: Run, overrides: Sequence[str] = ()) -> Trained:
    """Return what a run was (or is to be) trained with, with `section.key=value` on top.

    That is in run.json, and the same wherever and whenever it is asked; recipe.toml is for people.
    """
    info = run.info()
    data = read_toml(run.recipe_path) if info.recipe is None else deepcopy(info.recipe)
    given = {override.partition("=")[0].strip() for override in overrides}
    if "model" not in given:
        data |= _pinned(run, str(data.get("model")), info.model)
    elif "revision" not in given:  # it was the other model's
        data.pop("revision", None)
    recipe = resolve(data, str(run.info_path), None, overrides)
    return Trained(recipe, _edited(run, info))


def trained_tasks(run: Run) -> tuple[TaskSource, ...]:
    """Return the tasks a run was trained on, wherever its model may be now."""
    return trained(run, [f"model={EMBEDDED}"]).recipe.tasks


def _pinned(run: Run, name: str, loaded: ModelInfo | None) -> dict[str, str | None]:
    """Return the keys that name the very model that was loaded: a commit, or a directory."""
    if name == EMBEDDED:
        return {}
    if is_on_hub(name) and (loaded is None or loaded.revision):
        return {"revision": loaded.revision} if loaded else {}
    if is_gguf(name) and is_file(name):
        return {"model": name}
    # Runs of earlier versions may have kept a relative path as it was written.
    path = Path(loaded.path if loaded and (is_on_hub(name) or is_gguf(name)) else name)
    if path.is_absolute() and is_folder(str(path)):
        return {"model": str(path)}
    raise RunError(
        f"run {run.run_id} was trained on the model in {path}, which is not there",
        f"put it back there, or say where it is now: `yofo resume {word(run)} --model PLACE`",
    )


def _edited(run: Run, info: RunInfo) -> list[Note]:
    if info.recipe is None:
        message = f"{run.info_path} is missing or damaged"
        return [(message, "its recipe.toml counts; what the run was made with is not known")]
    if not is_edited(run, info):
        return []
    message = f"{run.recipe_path} was edited after the run began"
    more = f"`yofo resume {word(run)} --set train.steps=N` gives it more steps"
    return [(message, f"what was trained counts: {more}; the rest needs a new run")]


def is_edited(run: Run, info: RunInfo) -> bool:
    """Tell whether a run's recipe.toml says something else than its run.json."""
    if info.recipe is None:
        return False
    try:
        return validate(read_toml(run.recipe_path), "") != validate(info.recipe, "")
    except YofoError:
        return True


def rewrite(run: Run, recipe: Recipe, **more: Any) -> None:
    """Keep another recipe of a run: in run.json, and in its recipe.toml if that is not edited."""
    edited = is_edited(run, run.info())
    run.note(recipe=recipe.model_dump(mode="json"), **more)
    if not edited:
        write_text(run.recipe_path, to_toml(recipe))


def undated(run: Run, chat_template: object) -> list[Note]:
    """Return a warning of a run without a date in its recipe, whose model's template writes it."""
    recipe = run.info().recipe
    own = {"date": ""} if recipe is None else recipe.get("template", {})
    if "date" in own or own.get("style") == "plain" or "strftime_now" not in str(chat_template):
        return []
    return [
        (
            f"run {run.run_id} is older than template.date, and its chat template writes the day",
            f"the prompts now say {Template().date}, not the day it was trained on",
        )
    ]
