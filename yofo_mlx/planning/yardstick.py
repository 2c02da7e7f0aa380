"""Random models of known shapes, stepped through at growing lengths: what a machine can do.

Nothing is downloaded, and two machines do the very same work.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models import llama

from yofo_mlx.episodes.batches import Batch, make_batch
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.gradients import Dials, loss_and_gradients
from yofo_mlx.gradients.attention import native_is_bounded
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.planning.headers import Tensor
from yofo_mlx.planning.planner import Planner
from yofo_mlx.planning.sizes import sizes_of
from yofo_mlx.planning.step_memory import Forecast, StepLoad, forecast
from yofo_mlx.planning.work import Load, costs, work
from yofo_mlx.recipe.schema import Lora, Memory, Objective
from yofo_mlx.system.environment import on_cpu
from yofo_mlx.system.memory import memory_limit
from yofo_mlx.system.peak import peak, reset_peak

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
THIN = Dials(256, 2)  # also taken, in chunks, at
THIN_AT = 2048
EVERY, ANSWER = 32, 2  # an answer of 2 tokens every 32
IDS = 64  # every vocabulary has these
MARGIN_OF_TIME = 1.5  # a step may take so many times what the one before says
UNKNOWN = 4.0  # and on another model
DTYPES = {mx.float32: "F32", mx.bfloat16: "BF16", mx.float16: "F16", mx.uint32: "U32"}


@dataclass(frozen=True)
class Shape:
    """A llama of random weights."""

    name: str
    bits: int | None
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    units: int
    vocabulary: int

    @property
    def config(self) -> dict[str, Any]:
        """Return it as mlx-lm takes it."""
        return {
            "model_type": "llama",
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "intermediate_size": self.units,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1e6,
            "max_position_embeddings": 131072,
            "tie_word_embeddings": False,
        }


SMALL = Shape("6 layers of width 256", None, 6, 256, 8, 4, 704, 32000)  # A of benchmarks/models.py
LARGE = Shape("4 layers of Mistral 7B, 4 bits", 4, 4, 4096, 32, 8, 14336, 32768)


@dataclass(frozen=True)
class Measured:
    """One step, warmed up: loss and gradients of one episode."""

    model: str
    tokens: int
    chunk: int | None
    stash: int | None
    seconds: float
    cpu_seconds: float  # of all cores: what other programs took is not in it
    tokens_per_s: float
    peak_mb: float  # above the loaded model
    forecast_mb: float
    factor: float  # how many times as fast as the model of work

    def as_dict(self) -> dict[str, Any]:
        """Return its fields."""
        return asdict(self)


@dataclass(frozen=True)
class Left:
    """A step that was not taken, and why."""

    model: str
    tokens: int
    why: str  # "memory" or "time"


def steps(shape: Shape, seconds: float, factor: float | None) -> Iterator[Measured | Left]:
    """Take steps of a model, from short to long, until one does not fit into memory or time.

    `factor`: how many times as fast as the model of work another one was.
    """
    ended = time.perf_counter() + seconds
    planner, model = _planner(shape), None
    for length in LENGTHS:
        ways = [planner.plan(_load(length))]
        if length == THIN_AT and ways[0].dials != THIN:
            ways.append(forecast(planner.shape, _load(length), THIN, native=planner.native))
        for way in ways:
            if not planner.fits(way):
                yield Left(shape.name, length, "memory")
                return
            amount = work_of(planner, length, way.dials)
            care = MARGIN_OF_TIME if length > LENGTHS[0] else UNKNOWN
            if factor and care * amount / factor > ended - time.perf_counter():
                yield Left(shape.name, length, "time")
                return
            if model is None:
                model = _loaded(shape)
                _timed(model, length, way)  # the first one compiles and allocates
            found = _timed(model, length, way)
            factor = amount / found[0]
            yield _told(shape, length, way, found, factor)


def work_of(planner: Planner, length: int, dials: Dials | None) -> float:
    """Return the work of a step, in seconds of the model of time."""
    load = _load(length)
    return work(planner.shape, Load(length, 1, load.targets), dials, costs())


def _told(
    shape: Shape, length: int, way: Forecast, taken: tuple[float, float, int], factor: float
) -> Measured:
    seconds, worked, nbytes = taken
    return Measured(
        model=shape.name,
        tokens=length,
        chunk=way.dials.chunk if way.dials else None,
        stash=way.dials.stash if way.dials else None,
        seconds=round(seconds, 4),
        cpu_seconds=round(worked, 4),
        tokens_per_s=round(length / seconds, 1),
        peak_mb=round(nbytes / 1e6, 1),
        forecast_mb=round(way.total / 1e6, 1),
        factor=round(factor, 3),
    )


def _timed(model: Any, length: int, way: Forecast) -> tuple[float, float, int]:
    """Return a step's seconds, those of the CPU, and the bytes of its peak above the model."""
    batch = _batch(length)
    mx.clear_cache()
    before = mx.get_active_memory()
    reset_peak()
    started, worked = time.perf_counter(), time.process_time()
    mx.eval(loss_and_gradients(model, batch, way.dials))
    return time.perf_counter() - started, time.process_time() - worked, peak() - before


def _planner(shape: Shape) -> Planner:
    """Return the planner of a shape; nothing of its weights is computed yet."""
    arrays: Any = tree_flatten(_model(shape).parameters())
    tensors = {name: Tensor(DTYPES[array.dtype], tuple(array.shape)) for name, array in arrays}
    config = shape.config
    if shape.bits:
        config["quantization"] = {"bits": shape.bits, "group_size": 64}
    dtype = mx.float32 if on_cpu() else mx.bfloat16
    sizes = sizes_of(config, tensors, Lora(), item=dtype.size)
    native = native_is_bounded(sizes.head_dim, sizes.head_dim, dtype)
    return Planner(sizes, Memory(), memory_limit().nbytes, native)


def _model(shape: Shape) -> Any:
    mx.random.seed(0)
    model = llama.Model(llama.ModelArgs.from_dict(shape.config))
    model.set_dtype(mx.float32 if on_cpu() else mx.bfloat16)
    if shape.bits:
        nn.quantize(model, group_size=64, bits=shape.bits)
    return model


def _loaded(shape: Shape) -> Any:
    model = _model(shape)
    for layer in model.layers:  # one at a time: what is not quantized yet takes eight times as much
        mx.eval(layer.parameters())
    add_adapter(model, Lora())
    mx.eval(model.parameters())
    return model.train()


def _targets(length: int) -> list[tuple[int, int]]:
    return [(end - ANSWER, end) for end in range(EVERY, length + 1, EVERY)]


def _batch(length: int) -> Batch:
    draw = np.random.default_rng(0).integers(0, IDS, length).tolist()
    return make_batch([Episode("yardstick", draw, _targets(length))], Objective())


def _load(length: int) -> StepLoad:
    return StepLoad(1, length, ANSWER * len(_targets(length)))
