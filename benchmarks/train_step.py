"""Time and memory of one LoRA step over one long episode, in this process alone.

    python benchmarks/train_step.py --model DIR --tokens 8192 --method yofo --json

Methods, all on the same tokens, targets and LoRA, all with the same normaliser (target tokens):
  yofo            what `yofo train` does; the plan is yofo's own, or --chunk and --stash
  mlx-lm          mlx-lm's loss over all positions and its gradient checkpointing
  mlx-lm-bounded  the same with a memory-bounded attention patched in (on this machine's CPU it is
                  yofo's): what MLX >= 0.32.4 does by itself on Metal, so the honest rival there
  mlx-train-perf  mlx-train-perf's loss in chunks of the vocabulary in the place of mlx-lm's, with
                  mlx-lm's gradient checkpointing; "-bounded" with the attention as above. It has to
                  be on PYTHONPATH (`pip install --target DIR --no-deps mlx-train-perf`)

`peak_bytes` is MLX's peak above the loaded model; `seconds` is loss, gradient and optimizer update,
`cpu_seconds` what all threads worked meanwhile: on a busy machine the truer of the two.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_map
from mlx_lm.tuner.trainer import grad_checkpoint
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.gradients import loss_and_gradients
from yofo_mlx.gradients.attention import bounded_attention, native_is_bounded
from yofo_mlx.models.computing import cast, computing_type
from yofo_mlx.planning.planner import Planner
from yofo_mlx.planning.sizes import model_sizes
from yofo_mlx.planning.step_memory import Forecast, StepLoad
from yofo_mlx.recipe.schema import Dtype, Lora, Memory, Objective
from yofo_mlx.system.memory import memory_limit

METHODS = ("yofo", "mlx-lm", "mlx-lm-bounded", "mlx-train-perf", "mlx-train-perf-bounded")
NllOf = Callable[[mx.array, mx.array], mx.array]  # (B, L) tokens and targets -> (B, L) losses
LORA = {"rank": 8, "scale": 20.0, "dropout": 0.0}


def main() -> None:
    arguments = _arguments()
    model, config = load_model(arguments.model)
    cast(model, arguments.dtype)
    model.freeze()
    mx.random.seed(0)
    linear_to_lora_layers(model, -1, LORA)
    model.train()
    batch = _batch(arguments, config["vocab_size"])
    optimizer = optim.AdamW(learning_rate=1e-4)
    optimizer.init(model.trainable_parameters())
    mx.eval(model.parameters(), optimizer.state)
    way = _planned(arguments, batch) if arguments.method == "yofo" else None
    mx.clear_cache()
    loaded = mx.get_active_memory()
    mx.reset_peak_memory()
    load, worked, started = os.getloadavg()[0], _cpu_seconds(), time.perf_counter()

    loss, gradients = _step(arguments, model, batch, way)
    optimizer.update(model, gradients)
    mx.eval(loss, model.trainable_parameters(), optimizer.state)

    result = {
        "method": arguments.method,
        "checkpointing": arguments.method != "yofo" and not arguments.no_checkpointing,
        "tokens": arguments.tokens,
        "seconds": round(time.perf_counter() - started, 3),
        "cpu_seconds": round(_cpu_seconds() - worked, 3),
        "load": round(load, 1),
        "peak_bytes": mx.get_peak_memory() - loaded,
        "loss": loss.item(),
    }
    if way:
        result["forecast_bytes"] = way.total
        result |= {"chunk": way.dials.chunk, "stash": way.dials.stash} if way.dials else {}
    line = "  ".join(f"{key} {value}" for key, value in result.items())
    print(json.dumps(result) if arguments.json else line)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _step(arguments: Any, model: Any, batch: Batch, way: Forecast | None) -> tuple[mx.array, Any]:
    if way:
        loss, gradients = loss_and_gradients(model, batch, way.dials)
        scale = 1 / batch.denominator
        return loss * scale, tree_map(lambda array: array * scale, gradients)
    if not arguments.no_checkpointing:
        grad_checkpoint(model.layers[0])
    nll_of = _chunked_nll(model) if arguments.method.startswith("mlx-train-perf") else _nll(model)
    with bounded_attention() if arguments.method.endswith("-bounded") else nullcontext():
        return _all_positions(model, batch, nll_of)


def _nll(model: Any) -> NllOf:
    return lambda inputs, targets: nn.losses.cross_entropy(model(inputs), targets)


def _chunked_nll(model: Any) -> NllOf:
    """Return mlx-train-perf's loss by position; its kernels refuse this MLX, "chunked" does not."""
    try:
        from mlx_train_perf import linear_cross_entropy
        from mlx_train_perf.adapters.mlx_lm import split_model
    except ImportError:
        raise SystemExit("mlx-train-perf is not there: see --help") from None
    body, head = split_model(model)

    def nll(inputs: mx.array, targets: mx.array) -> mx.array:
        options = {"impl": "chunked", "reduction": "none", "validate_targets": False}
        hidden = body(inputs)
        flat = linear_cross_entropy(
            hidden.reshape(-1, hidden.shape[-1]), head, targets.reshape(-1), **options
        )
        return flat.reshape(targets.shape)

    return nll


def _all_positions(model: Any, batch: Batch, nll_of: NllOf) -> tuple[mx.array, Any]:
    """Do what mlx-lm's trainer does, with a mask that has every answer."""
    inputs, targets = mx.array(batch.tokens[:, :-1]), mx.array(batch.tokens[:, 1:])
    chosen = np.zeros(batch.tokens.size, dtype=bool)
    chosen[batch.rows] = True
    mask = mx.array(chosen.reshape(batch.tokens.shape)[:, :-1])

    def loss(model: Any) -> mx.array:
        nll = nll_of(inputs, targets) * mask
        return nll.astype(mx.float32).sum() / mask.sum()

    value, gradients = nn.value_and_grad(model, loss)(model)
    mx.eval(value, gradients)
    return value, gradients


def _planned(arguments: Any, batch: Batch) -> Forecast:
    """Return how yofo takes the step: its own plan, or the dials that were asked for."""
    memory = Memory(chunk=arguments.chunk, stash=arguments.stash)
    computed = computing_type(arguments.dtype)
    shape = model_sizes(arguments.model, Lora(), item=computed.size if computed else None)
    dtype = computed or (mx.float32 if shape.item == 4 else mx.bfloat16)
    native = native_is_bounded(shape.head_dim, shape.head_dim, dtype)
    planner = Planner(shape, memory, memory_limit().nbytes, native)
    return planner.plan(StepLoad(1, arguments.tokens, len(batch.targets)))


def _batch(arguments: Any, vocabulary: int) -> Batch:
    every, count = arguments.answers_every, arguments.answer_tokens
    tokens = np.random.default_rng(0).integers(0, vocabulary, arguments.tokens)
    ends = range(every, arguments.tokens + 1, every)
    episode = Episode("benchmark", tokens.tolist(), [(end - count, end) for end in ends])
    return make_batch([episode], Objective(normalize="token"))


def _arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--method", choices=METHODS, default="yofo")
    parser.add_argument("--chunk", type=int, help="tokens at a time (yofo)")
    parser.add_argument("--stash", type=int, help="layers recomputed together (yofo)")
    parser.add_argument("--no-checkpointing", action="store_true", help="mlx-lm without it")
    parser.add_argument(
        "--dtype", choices=get_args(Dtype), default="auto", help="type computed in, as in a recipe"
    )
    parser.add_argument("--answers-every", type=int, default=32, help="tokens between answer ends")
    parser.add_argument("--answer-tokens", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
