"""The model of a session: base, adapter and template, as a run or a user names them."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from yofo_mlx.episodes.bounds import check_ids
from yofo_mlx.errors import RecipeError, RunError
from yofo_mlx.models.adapter_files import (
    WEIGHTS_FILE,
    check_files,
    folder_of,
    is_whole_model,
    stamp,
)
from yofo_mlx.models.adapters import Mounted, mount
from yofo_mlx.models.base import Base, folder_beside, load_base, model_path
from yofo_mlx.recipe.names import EMBEDDED, model_here
from yofo_mlx.recipe.schema import Dtype, Template
from yofo_mlx.recipe.template import kept_template
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.trained import Note, trained
from yofo_mlx.tasks.suite import vocabulary


@dataclass(frozen=True)
class Source:
    """Where a model comes from."""

    model: str
    revision: str | None = None
    trust_remote_code: bool = False
    dtype: Dtype = "auto"
    adapter: Path | None = None
    template: Template = field(default_factory=Template)
    run: Run | None = None
    trained_context: int | None = None
    seed: int = 0
    limit_gb: float | None = None
    notes: tuple[Note, ...] = field(default=(), compare=False)  # what is no longer as it was

    @property
    def base(self) -> tuple[str, str | None, bool, Dtype]:
        """What two sources share that can have one base model in memory."""
        return self.model, self.revision, self.trust_remote_code, self.dtype

    def remark(self, texts: Iterable[str]) -> str:
        """Say what the embedded model, which has few words, does not know."""
        return vocabulary.remark(texts) if self.model == EMBEDDED else ""


Mark = tuple[Path, tuple[int, ...]] | None
"""Whose keys and values are whose: an adapter by its folder and its files; None is the base."""


@dataclass
class LoadedModel:
    """A base model in memory, and adapters for it, of which one or none is on."""

    source: Source
    base: Base
    mark: Mark = None  # the adapter that is on
    _mounted: dict[Mark, Mounted] = field(default_factory=dict)
    _is_altered: bool = False  # by weights in place of the base's own

    @property
    def uses_adapter(self) -> bool:
        """Tell whether an adapter is on."""
        return self.mark is not None

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
        """Let the base, or an adapter on it, answer without loading it again; False if it must."""
        adapter = source.adapter if use_adapter else None
        mark = (adapter, stamp(adapter)) if adapter else None
        if source.base != self.source.base or (self._is_altered and mark != self.mark):
            return False
        if adapter and mark not in self._mounted and is_whole_model(adapter):
            return False
        if source.template != self.source.template:  # a look at the whole vocabulary
            check_ids(source.template, self.base.tokenizer, self.base.config)
        if adapter and mark not in self._mounted:
            self.mount(source, adapter)
        self.turn(source, mark)
        return True

    def mount(self, source: Source, adapter: Path) -> None:
        """Read an adapter from its folder, and let it answer."""
        self.turn(source, None)
        mark = (adapter, stamp(adapter))
        mounted = mount(self.base.model, adapter)
        self._is_altered = not mounted.layers
        self._mounted[mark], self.mark = mounted, mark

    def turn(self, source: Source, mark: Mark) -> None:
        """Let the base, or an adapter that was read before, answer."""
        if mark != self.mark:
            if self.mark is not None:
                self._mounted[self.mark].take_off()
            self.mark = None
            if mark is not None:
                self._mounted[mark].put_on()
        self.source, self.mark = source, mark

    def keep(self, marks: Collection[Mark]) -> None:
        """Forget the other adapters."""
        self._mounted = {mark: one for mark, one in self._mounted.items() if mark in marks}


def find_source(run: str | None, model: str | None, adapter: str | None) -> Source:
    """Return where to load from: a run's recipe, with `model` and `adapter` in their place."""
    folder = folder_of(adapter) if adapter else None
    if run is None:
        if model is None:
            raise RecipeError("neither a run nor a model is named", "give one of them")
        name = model_here(model)
        template = kept_template(folder or folder_beside(name))
        return Source(name, adapter=folder, template=template)
    found = listing.find(run)
    recipe, notes = trained(found, [f"model={json.dumps(model)}"] if model else [])
    return Source(
        recipe.model,
        recipe.revision,
        recipe.trust_remote_code,
        recipe.dtype,
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
        source.model,
        revision=source.revision,
        trust_remote_code=source.trust_remote_code,
        dtype=source.dtype,
    )
    check_ids(source.template, base.tokenizer, base.config)
    loaded = LoadedModel(source, base)
    if use_adapter and source.adapter:
        loaded.mount(source, source.adapter)
    return loaded
