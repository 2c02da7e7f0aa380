"""What an evaluation measures: a run, an adapter from elsewhere, or a base model alone."""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from yofo_mlx.errors import RecipeError, RunError, YofoError
from yofo_mlx.models.adapter_files import (
    CONFIG_FILE,
    check_files,
    folder_of,
)
from yofo_mlx.recipe.names import EMBEDDED, model_here
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.template import kept_template
from yofo_mlx.runs import listing
from yofo_mlx.runs.events import figure
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.listing import word
from yofo_mlx.runs.names import slug
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.runs.trained import Note, trained
from yofo_mlx.system import paths
from yofo_mlx.system.files import read_object


@dataclass(frozen=True)
class Subject:
    """What is measured, and where what it scored is kept."""

    run_id: str  # of a run, else the adapter's folder or the model's name
    evaluations_path: Path
    arguments: str  # that name it on the command line
    adapter: Path | None = None
    run: Run | None = None
    model: str | None = None  # in place of the run's, or where there is no run

    def step(self) -> int | None:
        """Return the step that the adapter is of, None if that is not known."""
        events = self.run.events() if self.run else ()
        best = [event for event in events if event["kind"] == "eval" and event.get("best")]
        step = figure(best[-1], "step") if best else None
        return None if step is None else int(step)

    def check(self) -> None:
        """Refuse an adapter that is not there."""
        if self.run and not self.run.adapter_path.is_dir():
            raise RunError(
                f"run {self.run_id} has no adapter yet (it is {self.run.status()})",
                "wait for its first validation or its end",
            )
        if self.adapter:
            check_files(self.adapter)

    def recipe(self, overrides: Sequence[str] = ()) -> tuple[Recipe, list[Note]]:
        """Return the recipe it is measured by, overrides on top, and what the user should know."""
        if self.run:
            place = [f"model={json.dumps(self.model)}"] if self.model else []
            return trained(self.run, [*place, *overrides])
        from yofo_mlx.models.base import folder_beside  # it needs MLX

        template = kept_template(self.adapter or folder_beside(model_here(self.model or "")))
        data = {
            "model": self.model,
            "template": template.model_dump(mode="json"),
            "train": {"steps": 1},
            "tasks": [{"source": "tiny:train"}],  # never read; there is no recipe without any
        }
        return resolve(data, self.arguments, Path.cwd(), overrides), []


def find(run: str | None, model: str | None, adapter: str | None) -> Subject:
    """Return what is meant: a run, without a name the last one; or an adapter, or a model.

    In place of a run's name, that of a base model will do.
    """
    if not adapter or (run and _may_be_model(run)):
        run, model = run_or_model(run, model)
    if run and adapter:
        raise RecipeError("a run comes with its own adapter", "give a run or --adapter, not both")
    if run or not (adapter or model):
        return of_run(listing.find(run or "last"), model)
    return elsewhere(model, adapter)


def run_or_model(name: str | None, model: str | None = None) -> tuple[str | None, str | None]:
    """Return what a name is: a run's, or, where no run is called so, that of a model."""
    if name is None or model is not None:
        return name, model
    try:
        listing.find(name)
    except YofoError:
        if not _may_be_model(name):
            raise
        return None, name
    return name, None


def _may_be_model(name: str) -> bool:
    return name == EMBEDDED or "/" in name or Path(name).exists()


def of_run(run: Run, model: str | None = None) -> Subject:
    """Return a run as what is measured; `model`: where its base is now."""
    words = word(run) + (f" --model {shlex.quote(model)}" if model else "")
    return Subject(
        run.run_id, run.evaluations_path, words, adapter=run.adapter_path, run=run, model=model
    )


def elsewhere(model: str | None, adapter: str | None) -> Subject:
    """Return an adapter from elsewhere, or a model without any; it is kept in yofo's own folder."""
    folder = folder_of(adapter) if adapter else None
    if folder:
        check_files(folder)
        model = model or _base_of(folder)
    if not model:
        raise RecipeError("neither a run, an adapter nor a model is named", "give one of them")
    words = [f"--adapter {shlex.quote(adapter)}"] if adapter else []
    name = str(folder or model_here(model))
    mark = sha256(os.fsencode(name)).hexdigest()[:8]
    return Subject(
        name,
        paths.evaluations() / f"{slug(Path(name).name)}-{mark}",
        " ".join([*words, f"--model {shlex.quote(model)}"]),
        adapter=folder,
        model=model,
    )


def _base_of(adapter: Path) -> str:
    """Return the model that an adapter's settings name."""
    model = read_object(adapter / CONFIG_FILE).get("model")
    if isinstance(model, str) and model:
        return model
    raise RecipeError(
        f"the adapter in {adapter} does not say which model it belongs to",
        "name it: --model MODEL",
    )
