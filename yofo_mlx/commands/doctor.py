"""`yofo doctor`: does training work on this machine, and is it exact?"""

import json
import platform
import sys
from dataclasses import asdict, dataclass
from typing import Any

import mlx.core as mx

from yofo_mlx.errors import ExitCode, RecipeError, YofoError
from yofo_mlx.gradients.attention import native_is_bounded
from yofo_mlx.gradients.exactness import small_comparison
from yofo_mlx.models.base import model_config, model_path
from yofo_mlx.recipe.schema import Lora
from yofo_mlx.runs.events import finite
from yofo_mlx.runs.recipe import RecipeRequest
from yofo_mlx.system.environment import on_cpu, versions_and_machine
from yofo_mlx.system.memory import limit_now
from yofo_mlx.system.quantities import size
from yofo_mlx.system.talk import say_next

HEAD_DIMS = (64, 128)
DTYPES = {"float32": mx.float32, "bfloat16": mx.bfloat16, "float16": mx.float16}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `ok` is None where nothing can be wrong with it."""

    name: str
    ok: bool | None
    words: str
    figures: dict[str, Any]


def doctor(request: RecipeRequest, *, as_json: bool) -> ExitCode:
    """Print what was found; fail if any gradient is not what it should be."""
    config: dict[str, Any] = {"model_type": "llama"}
    lora = Lora(rank=2)
    if request.overrides and not request.names:
        raise RecipeError(
            "--set changes a recipe, and none is named", "yofo doctor RECIPE --set ..."
        )
    limit_gb = None
    if request.names:
        recipe = request.load()
        config = model_config(model_path(recipe.model, recipe.revision, weights=False))
        lora, limit_gb = recipe.lora, recipe.memory.limit_gb
    checks = [_device(), _memory(limit_gb), _type()]
    checks += [*attention_checks(config), *exactness_checks(config, lora)]
    wrong = [check for check in checks if check.ok is False]
    sound = not wrong
    if as_json:
        found = finite({"ok": sound, "checks": [asdict(check) for check in checks]})
        print(json.dumps(found, allow_nan=False))
    else:
        for check in checks:
            print(f"{_MARKS[check.ok]:>8}  {check.name}: {check.words}")
        unsupported = any("supported" in check.figures for check in wrong)
        verdict = UNSUPPORTED if unsupported else WRONG
        print(SOUND if sound else verdict, file=sys.stdout if sound else sys.stderr, flush=True)
        if request.names and sound:
            say_next(f"plan {request}")
    return ExitCode.OK if sound else ExitCode.FAILED


_MARKS = {True: "ok", False: "WRONG", None: ""}
SOUND = "All is well: training in chunks is exact on this machine."
WRONG = "Do not train long episodes on this machine: report what is above."
UNSUPPORTED = "Long episodes of this architecture cannot be trained in chunks."


def _device() -> Check:
    found = versions_and_machine()
    versions = ", ".join(
        f"{name} {version}" for name, version in found["versions"].items() if version
    )
    words = f"{found['device']}, {found['system']}; Python {platform.python_version()}, {versions}"
    return Check("machine", None, words, {k: found[k] for k in ("device", "system", "versions")})


def _memory(limit_gb: float | None) -> Check:
    limit = limit_now(limit_gb)
    words = f"a run may use {size(limit.nbytes)} ({limit.source})"
    return Check("memory", None, words, asdict(limit))


def _type() -> Check:
    """Tell which type a model is computed in."""
    model = (
        "float32, since this is a CPU" if on_cpu() else "the type that its weights are stored in"
    )
    words = f"models compute in {model}; loss, adapter, its gradients and optimizer in float32"
    return Check("type", None, words, {"as_stored": not on_cpu()})


def attention_checks(config: dict[str, Any]) -> list[Check]:
    """Tell which attention is differentiated in bounded memory, by measuring it."""
    text = config.get("text_config") or config
    widths = [int(text["head_dim"])] if text.get("head_dim") else HEAD_DIMS
    found = []
    for name, dtype in DTYPES.items():
        for width in widths:
            native = native_is_bounded(width, width, dtype)
            words = "MLX's own (bounded)" if native else "yofo's tiles (MLX's own is not bounded)"
            figures = {"head_dim": width, "dtype": name, "native": native}
            found.append(Check(f"attention, {name}, heads of {width}", None, words, figures))
    return found


def exactness_checks(config: dict[str, Any], lora: Lora) -> list[Check]:
    """Compare chunks with plain autograd on a small random model of the architecture."""
    kind = str(config.get("model_type"))
    found = []
    for name, dtype in DTYPES.items():
        try:
            result = small_comparison(config, lora, dtype)
        except YofoError as error:
            words = f"{error.message}; {error.hint}"
            return [Check(f"gradients, {kind}", False, words, {"supported": False})]
        except RuntimeError as error:  # MLX's experts on a CPU have float32 only
            words = f"not checked: {str(error).splitlines()[0]}"
            found.append(Check(f"gradients, {kind}, {name}", name != "float32" and None, words, {}))
            continue
        words = (
            f"chunks against plain autograd: loss {result.loss:.1e},"
            f" gradients {result.gradients:.1e} apart (at most {result.tolerance:.0e})"
        )
        figures = asdict(result)
        found.append(Check(f"gradients, {kind}, {name}", result.is_exact, words, figures))
    return found
