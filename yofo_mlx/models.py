"""Base models and tokenizers, loaded through mlx-lm."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.spm import check_tokenizer

EMBEDDED = "tiny"
T = TypeVar("T")


@dataclass(frozen=True)
class Base:
    """A base model with its tokenizer."""

    name: str
    path: Path
    model: Any  # mlx.nn.Module
    tokenizer: Any  # mlx_lm TokenizerWrapper
    config: dict[str, Any]

    @property
    def revision(self) -> str | None:
        """Commit of a model from the hub, None for any other."""
        return self.path.name if self.path.parent.name == "snapshots" else None

    @property
    def context(self) -> int | None:
        """Trained context length in tokens, None if the configuration does not say."""
        text = self.config.get("text_config") or self.config
        length = text.get("max_position_embeddings")
        return int(length) if length else None


def load_base(name: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Base:
    """Load a model and its tokenizer from a directory, the hub, or the embedded files."""
    path = model_path(name, revision)
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    import mlx.core as mx
    from mlx_lm.utils import load_model

    model, config = _asking(name, lambda: load_model(path, trust_remote_code=trust_remote_code))
    if mx.default_device() == mx.Device(mx.cpu):  # half precision is slow there
        model.set_dtype(mx.float32)
    tokenizer = load_tokenizer(path, config, trust_remote_code=trust_remote_code)
    return Base(name, path, model, tokenizer, config)


def load_tokenizer(path: Path, config: dict[str, Any], *, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer of a model directory and compare it with its `tokenizer.model`."""
    from mlx_lm.utils import load_tokenizer as mlx_lm_load

    options = {"trust_remote_code": True} if trust_remote_code else None
    tokenizer = _asking(
        str(path), lambda: mlx_lm_load(path, options, eos_token_ids=config.get("eos_token_id"))
    )
    check_tokenizer(tokenizer, path)
    return tokenizer


def model_config(path: Path) -> dict[str, Any]:
    """Return a model directory's configuration."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{path} is not a model directory: no readable config.json ({error})",
            "give a hub id, or a directory with config.json and *.safetensors",
        ) from error
    return config if isinstance(config, dict) else {}


def model_path(name: str, revision: str | None = None) -> Path:
    """Return the directory of a model, downloading it from the hub where needed."""
    if name == EMBEDDED:
        return Path(__file__).parent / "tiny" / "model"
    path = Path(name).expanduser()
    if path.is_dir():
        model_config(path)
        return path
    if path.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise RecipeError(
            f"there is no model {name!r}",
            "give a hub id (owner/name), a model directory, or `tiny`",
        )
    return _download(name, revision)


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import errors
    from mlx_lm.utils import _download as mlx_lm_download

    try:
        return mlx_lm_download(name, revision=revision)
    except errors.RepositoryNotFoundError as error:
        raise RecipeError(
            f"the hub has no model {name!r}, or it needs a login",
            "check the spelling; for gated models run `hf auth login` and accept the terms",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise RecipeError(
            f"the hub's {name!r} has no revision {revision!r}", "remove or correct `revision`"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, OSError) as error:
        raise YofoError(
            f"model {name!r} is not on this machine and the hub cannot be reached",
            "check the network (and HF_HUB_OFFLINE), or give a model directory",
        ) from error


def _asking(name: str, load: Callable[[], T]) -> T:
    """Turn a loader's errors into words for the user."""
    try:
        return load()
    except YofoError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
        raise RecipeError(
            f"model {name!r} cannot be loaded: {first}",
            "mlx-lm must support its architecture; models with code of their own need"
            " trust_remote_code = true",
        ) from error
