"""The model of a session: base, adapter and template, as a run or a user names them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.episodes.bounds import check_ids
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.models.adapter_files import WEIGHTS_FILE, check_files, folder_of, stamp
from yofo_mlx.models.adapters import adapter_template, load_adapter
from yofo_mlx.models.base import Base, load_base, model_path
from yofo_mlx.recipe.names import model_here
from yofo_mlx.recipe.schema import Template
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.trained import Note, trained


@dataclass(frozen=True)
class Source:
    """Where a model comes from."""

    model: str
    revision: str | None = None
    trust_remote_code: bool = False
    adapter: Path | None = None
    template: Template = field(default_factory=Template)
    run: Run | None = None
    trained_context: int | None = None
    seed: int = 0
    limit_gb: float | None = None
    notes: tuple[Note, ...] = field(default=(), compare=False)  # what is no longer as it was


@dataclass
class LoadedModel:
    """A model in memory; its adapter can be switched off where that leaves the base exactly."""

    source: Source
    base: Base
    adapter_stamp: tuple[int, ...] = ()
    uses_adapter: bool = False
    _scales: list[tuple[Any, float]] = field(default_factory=list)

    @property
    def context(self) -> int | None:
        """Context that the adapter in use was trained on, else the model's own."""
        trained = self.source.trained_context if self.uses_adapter else None
        return trained or self.base.context

    @property
    def limit(self) -> int | None:
        """Most tokens a prompt may have: the model's context, or more if it trained on more."""
        if self.base.context is None or self.base.positions:
            return self.base.context
        return max(self.base.context, self.source.trained_context or 0)

    def switch(self, source: Source, use_adapter: bool) -> bool:
        """Switch the adapter on or off without loading; False where that cannot be done."""
        if source != self.source:
            return False
        if source.adapter is None:
            return True
        if self.adapter_stamp not in ((), stamp(source.adapter)):
            return False
        if use_adapter and not self.adapter_stamp:
            self._mount(source.adapter)
        elif use_adapter != self.uses_adapter:
            if not self._scales:
                return False
            for layer, scale in self._scales:
                layer.scale = scale if use_adapter else 0.0
        self.uses_adapter = use_adapter
        return True

    def _mount(self, adapter: Path) -> None:
        load_adapter(self.base.model, adapter)
        self.base.model.eval()  # fresh adapter layers would drop out
        self.adapter_stamp = stamp(adapter)
        adapted = [layer for _, layer in self.base.model.named_modules() if "lora_a" in layer]
        # DoRA divides by a norm as well: no scale makes it the base again.
        if not any("m" in layer for layer in adapted):
            self._scales = [(layer, layer.scale) for layer in adapted]


def find_source(run: str | None, model: str | None, adapter: str | None) -> Source:
    """Return where to load from: a run's recipe, with `model` and `adapter` in their place."""
    folder = folder_of(adapter) if adapter else None
    if run is None:
        if model is None:
            raise RecipeError("neither a run nor a model is named", "give one of them")
        template = adapter_template(folder) if folder else Template()
        return Source(model_here(model), adapter=folder, template=template)
    found = listing.find(run)
    recipe, notes = trained(found, [f"model={json.dumps(model)}"] if model else [])
    return Source(
        recipe.model,
        recipe.revision,
        recipe.trust_remote_code,
        folder or found.adapter_path,
        recipe.template,
        found,
        recipe.episodes.max_tokens,
        recipe.seed,
        recipe.memory.limit_gb,
        tuple(notes),
    )


def check(source: Source, use_adapter: bool) -> None:
    """Refuse a source whose files are not there, while the present model is still in memory."""
    if use_adapter and source.adapter:
        _check_adapter(source, source.adapter)
    model_path(source.model, source.revision)


def _check_adapter(source: Source, folder: Path) -> None:
    run = source.run
    if run and folder == run.adapter_path and not (folder / WEIGHTS_FILE).is_file():
        raise RunError(
            f"run {run.run_id} has no adapter yet",
            "wait for its first validation, or prompt the base model (`--base`)",
        )
    check_files(folder)


def load(source: Source, use_adapter: bool) -> LoadedModel:
    """Load a base model and put its adapter on."""
    base = load_base(
        source.model, revision=source.revision, trust_remote_code=source.trust_remote_code
    )
    check_ids(source.template, base.tokenizer, base.config)
    loaded = LoadedModel(source, base)
    loaded.switch(source, use_adapter)
    return loaded
