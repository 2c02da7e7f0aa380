"""Base models and tokenizers, loaded through mlx-lm."""

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.hub.errors import Repo
from yofo_mlx.hub.snapshot import snapshot
from yofo_mlx.models.tokenizer import check_tokenizer
from yofo_mlx.recipe.names import EMBEDDED, GGUF, is_file, is_folder, is_gguf, is_path
from yofo_mlx.recipe.schema import Dtype, Recipe
from yofo_mlx.system.text import reason, shorten

_POINTER = b"version https://git-lfs"
_TOKENIZERS = ("tokenizer*", "vocab*", "*.tiktoken", "*.model")  # what one may be kept in
T = TypeVar("T")


@dataclass(frozen=True)
class Base:
    """A base model with its tokenizer."""

    name: str
    path: Path
    model: Any  # mlx.nn.Module
    tokenizer: Any  # mlx_lm TokenizerWrapper
    config: dict[str, Any]
    positions: int | None = None  # rows of its table of learned positions

    @property
    def revision(self) -> str | None:
        """Commit of a model from the hub, None for any other."""
        return self.path.name if self.path.parent.name == "snapshots" else None

    @property
    def context(self) -> int | None:
        """Trained context length in tokens, None if the configuration does not say."""
        text = self.config.get("text_config") or self.config
        length = self.positions or text.get("max_position_embeddings")
        return int(length) if length else None


def base_of(recipe: Recipe) -> Base:
    """Load the model and tokenizer that a recipe names, in the type that it asks for."""
    return load_base(
        recipe.model,
        revision=recipe.revision,
        trust_remote_code=recipe.trust_remote_code,
        dtype=recipe.dtype,
    )


def load_base(
    name: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    dtype: Dtype = "auto",
) -> Base:
    """Load a model and its tokenizer from a directory, the hub, or the embedded files."""
    path = model_path(name, revision)
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from mlx_lm.utils import load_model

    from yofo_mlx.models.computing import cast
    from yofo_mlx.models.tables import model_tables

    model, config = _asking(
        path, lambda: load_model(path, trust_remote_code=trust_remote_code), name
    )
    cast(model, dtype)
    tokenizer = load_tokenizer(path, config, trust_remote_code=trust_remote_code)
    tables = model_tables(config)
    return Base(name, path, model, tokenizer, config, tables.positions if tables else None)


_TOO_LONG = "sequence-length-is-longer-than-the-specified-maximum"


def load_tokenizer(path: Path, config: dict[str, Any], *, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer of a model directory and compare it with its `tokenizer.model`."""
    from mlx_lm.utils import load_tokenizer as mlx_lm_load

    if not any(file for pattern in _TOKENIZERS for file in path.glob(pattern)):
        raise RecipeError(
            f"model {str(path)!r} has no tokenizer",
            "copy the tokenizer.json and tokenizer_config.json of the model into it",
        )
    options = {"trust_remote_code": True} if trust_remote_code else None
    tokenizer = _asking(
        path, lambda: mlx_lm_load(path, options, eos_token_ids=config.get("eos_token_id"))
    )
    check_tokenizer(tokenizer, path)
    # Whether a text fits is yofo's to say: transformers warns of any long one, shown or refused.
    tokenizer.deprecation_warnings[_TOO_LONG] = True
    return tokenizer


def model_config(path: Path) -> dict[str, Any]:
    """Return a model directory's configuration."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _refuse_pointers(path, str(path), error)
        files = sorted(path.glob(f"*{GGUF}"))
        instead = f"name its file: {files[0]}" if files else "give a hub id, or another directory"
        raise RecipeError(
            f"{path} is not a model directory: no readable config.json ({error})",
            f"a directory needs config.json and *.safetensors; {instead}",
        ) from error
    return config if isinstance(config, dict) else {}


def model_path(name: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """Return the directory of a model, downloading it from the hub where needed.

    Without `weights` only its small files are downloaded: configuration and tokenizer.
    """
    if name == EMBEDDED:
        return Path(__file__).parents[1] / "tiny" / "model"
    if is_gguf(name) and is_file(name):
        from yofo_mlx.models.gguf.directory import cached

        return cached(Path(name).expanduser())
    if is_path(name) and is_folder(name):
        path = Path(name).expanduser()
        model_config(path)
        return path
    if is_path(name) or name.count("/") != 1:
        raise RecipeError(
            f"there is no model '{shorten(name, 200)}'",
            "give a hub id (owner/name), a model directory, a GGUF file, or `tiny`",
        )
    return _download(name, revision, weights=weights)


def folder_beside(name: str) -> Path:
    """Return the folder that holds what was written with a model: of a GGUF file its own."""
    if is_gguf(name) and is_file(name):
        return Path(name).expanduser().parent
    return model_path(name)


def _download(name: str, revision: str | None, *, weights: bool) -> Path:
    from mlx_lm.utils import DEFAULT_ALLOW_PATTERNS

    small = [pattern for pattern in DEFAULT_ALLOW_PATTERNS if not pattern.endswith(".safetensors")]
    return snapshot(Repo("model", name, revision), DEFAULT_ALLOW_PATTERNS if weights else small)


def _asking(path: Path, load: Callable[[], T], name: str = "") -> T:
    """Turn a loader's errors into words for the user."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        return load()
    except YofoError:
        raise
    except Exception as error:  # files that are damaged fail wherever they like
        name = name or str(path)
        _refuse_pointers(path, name, error)
        strict = isinstance(error, StrictDataclassError)  # says what it means in its cause
        words = reason(error.__cause__ if strict and error.__cause__ else error)
        remedy = f"correct it in {path / 'config.json'}" if strict else _remedy(str(error), path)
        raise RecipeError(f"model {name!r} cannot be loaded: {words}", remedy) from error


def _refuse_pointers(path: Path, name: str, error: Exception) -> None:
    """Refuse a model directory whose files are still to be fetched; else do nothing."""
    files = sorted(path.iterdir()) if path.is_dir() else []
    if pointers := [file.name for file in files if _is_pointer(file)]:
        raise RecipeError(
            f"model {name!r} holds Git LFS pointers: {', '.join(pointers)[:200]}",
            f"fetch the files themselves: `git lfs pull` in {path}",
        ) from error


def _is_pointer(file: Path) -> bool:
    """Tell whether a file only says where Git LFS keeps the file."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(_POINTER)) == _POINTER


def _remedy(words: str, path: Path) -> str:
    if "trust_remote_code" in words or "custom module" in words:
        return "it brings code of its own: read that, then set trust_remote_code = true"
    if "not supported" in words:
        return "mlx-lm must support its architecture; it may do so in a newer version"
    return f"its files are damaged or do not belong together: {replace_files(path)}"


def replace_files(path: Path) -> str:
    """Return how to get the files of a model anew."""
    if path.parent.name == "snapshots":  # a cached file is not downloaded again
        return f"rm -r {shlex.quote(str(path.parent.parent))} lets the next command download them"
    return "copy them again from where the model is from"
