"""Models to choose from: those on the disk, and a few that shipped recipes are written for.

Of each the longest episode is told that this machine can train, with a recipe's defaults.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import YofoError
from yofo_mlx.gradients.attention import native_is_bounded
from yofo_mlx.hub.cached import cached_repos
from yofo_mlx.planning.planner import Planner, make_planner
from yofo_mlx.planning.sizes import Sizes, sizes_of
from yofo_mlx.recipe.file import validate
from yofo_mlx.recipe.names import EMBEDDED
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system import paths
from yofo_mlx.system.environment import on_cpu
from yofo_mlx.system.files import PART, size_of
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.system.text import reason

LENGTHS = (4096, 16384, 65536)  # tokens of an episode
_NORM = {"rms_norm_eps": 1e-5}
_LLAMA = _NORM | {"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096}
_GEMMA = {"num_attention_heads": 8, "num_key_value_heads": 4, "hidden_size": 2560, "head_dim": 256}
_SMOL = _NORM | {"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576}


@dataclass(frozen=True)
class Shelved:
    """A model to choose."""

    name: str  # as a recipe takes it
    where: str  # hub cache, imported, embedded, or the hub itself
    path: Path | None  # None: it would be downloaded
    nbytes: int  # of its files
    parameters: int | None = None
    context: int | None = None  # trained length
    longest: int | None = None  # tokens of an episode whose step fits; None: not known
    why_not: str = ""  # nothing is known of it
    recipe: str | None = None  # shipped, that is written for it

    @property
    def fits(self) -> dict[int, bool]:
        """Tell at which of some lengths a step fits this machine, and the model was trained on."""
        most = min(self.longest or 0, self.context or 2**62)
        return {} if self.longest is None else {length: length <= most for length in LENGTHS}


@dataclass(frozen=True)
class _Known:
    """What is to be known of a model before anything of it is downloaded."""

    name: str
    recipe: str | None  # shipped, that works anywhere
    nbytes: int
    parameters: int
    config: dict[str, Any]


CURATED = (
    _Known(
        "HuggingFaceTB/SmolLM2-135M-Instruct", None, 269_000_000, 134_515_008,
        _SMOL | {"model_type": "llama", "num_hidden_layers": 30, "intermediate_size": 1536,
                 "vocab_size": 49152, "max_position_embeddings": 8192},
    ),
    _Known(
        "mlx-community/gemma-3-4b-it-4bit-DWQ", "gemma", 2_560_000_000, 3_880_000_000,
        _GEMMA | {"model_type": "gemma3_text", "num_hidden_layers": 34, "intermediate_size": 10240,
                  "vocab_size": 262208, "max_position_embeddings": 131072},
    ),
    _Known(
        "mlx-community/Mistral-7B-Instruct-v0.3-4bit", "mistral", 4_080_000_000, 7_248_023_552,
        _LLAMA | {"model_type": "mistral", "num_hidden_layers": 32, "intermediate_size": 14336,
                  "vocab_size": 32768, "max_position_embeddings": 32768},
    ),
    _Known(
        "mlx-community/Meta-Llama-3.1-8B-Instruct-4bit", "llama3", 4_520_000_000, 8_030_261_248,
        _LLAMA | {"model_type": "llama", "num_hidden_layers": 32, "intermediate_size": 14336,
                  "vocab_size": 128256, "max_position_embeddings": 131072},
    ),
)  # fmt: skip


def on_disk() -> Iterator[Shelved]:
    """Yield the models that are here, the embedded one first."""
    shipped = {one.name: one.recipe for one in CURATED} | {EMBEDDED: "tiny"}
    for name, where, path, nbytes in _here():
        found = _measured(name, where, path, shipped.get(name))
        yield found if nbytes is None else replace(found, nbytes=nbytes)


def folders_here() -> dict[str, Path]:
    """Return the folders of the models that are here, by their names; nothing of them is read."""
    return {name: path for name, _, path, _ in _here()}


def _here() -> Iterator[tuple[str, str, Path, int | None]]:
    """Yield name, kind of place, folder, and the bytes where they are known."""
    yield EMBEDDED, "embedded", Path(__file__).parents[1] / "tiny" / "model", None
    for repo in cached_repos():
        if repo.kind == "model" and repo.snapshots:
            yield repo.id, "hub cache", repo.snapshots[0], repo.nbytes
    made = paths.models().iterdir() if paths.models().is_dir() else ()
    for path in sorted(made):
        if path.is_dir() and not path.name.startswith((".", PART)):
            yield str(path), "imported", path, None


def curated() -> Iterator[Shelved]:
    """Yield the models of shipped recipes; nothing is asked of the hub."""
    for one in CURATED:
        recipe = _plainest(one.name)
        planner = _planner(_sizes(one, recipe), recipe)
        yield Shelved(
            one.name,
            "hub",
            None,
            one.nbytes,
            one.parameters,
            planner.shape.context,
            planner.longest(recipe),
            recipe=one.recipe,
        )


def curated_planner(recipe: Recipe) -> Planner | None:
    """Return the planner of a recipe whose model is among these, before it is downloaded."""
    one = next((one for one in CURATED if one.name == recipe.model), None)
    return _planner(_sizes(one, recipe), recipe) if one else None


def _sizes(one: _Known, recipe: Recipe) -> Sizes:
    sizes = sizes_of(one.config, {}, recipe.lora, as_float32=on_cpu())
    is_whole = on_cpu() and not one.name.endswith(("4bit", "DWQ"))  # floats become float32
    nbytes = 4 * one.parameters if is_whole else one.nbytes
    return replace(sizes, weight_bytes=nbytes, parameters=one.parameters)


def _measured(name: str, where: str, path: Path, shipped: str | None) -> Shelved:
    found = Shelved(name, where, path, size_of(path), recipe=shipped)
    recipe = _plainest(str(path))
    try:
        planner = make_planner(recipe, path)
        longest = planner.longest(recipe)
    except YofoError as error:
        return replace(found, why_not=error.message)
    except Exception as error:  # a damaged model fails wherever it likes
        return replace(found, why_not=reason(error))
    shape = planner.shape
    return replace(found, parameters=shape.parameters, context=shape.context, longest=longest)


def _plainest(model: str) -> Recipe:
    """Return a recipe of defaults."""
    tasks = [{"source": "tiny:topic-01"}]
    return validate({"model": model, "train": {"steps": 1}, "tasks": tasks}, "defaults")


def _planner(sizes: Sizes, recipe: Recipe) -> Planner:
    dtype = mx.float32 if sizes.item == 4 else mx.bfloat16
    native = native_is_bounded(sizes.head_dim, sizes.head_dim, dtype)
    limit = memory_limit(recipe.memory.limit_gb)
    return Planner(sizes, recipe.memory, limit.nbytes, native)
