"""Compare the forecast of memory with what is taken, on random llama models; fit it anew.

    python benchmarks/forecast.py --models 40 --seed 3 --most-work 4e9
    python benchmarks/forecast.py --models 24 --seed 3 --most-work 1e9 --validation
    python benchmarks/forecast.py --models 80 --most-work 4e9 --fit
    python benchmarks/forecast.py --models 40 --most-work 1e9 --dtype bfloat16 --fit

A step, or a validation: a prompt is read, then queries are asked at once. `--fit` prints the
factors of `planning/step_memory.py`, or of `planning/evaluation.py`, that fit these peaks best, in
half precision those that are of it alone; look at them on another `--seed` before they take the
place of those. `benchmarks/halves.py` has models of known shapes in all types.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from math import log
from typing import Any

import measurements

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models import llama

from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.episodes.sampler import Demonstration, Episode
from yofo_mlx.evaluation.measure import compare, growing_prefix
from yofo_mlx.evaluation.prompts import Prompts, Query
from yofo_mlx.gradients import Dials, loss_and_gradients
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.planning import evaluation, step_memory
from yofo_mlx.planning.evaluation import Asked, plan_validation
from yofo_mlx.planning.planner import Planner, load_of
from yofo_mlx.planning.sizes import Tensor, sizes_of
from yofo_mlx.planning.step_memory import forecast
from yofo_mlx.planning.yardstick import DTYPES
from yofo_mlx.recipe.schema import Lora, Memory, Objective
from yofo_mlx.tasks.task import Example

MOST_WORK = 25e9  # tokens x layers x widths: seconds for each model
OF_STEPS = "WHOLE LAST_UNITS UNITS_PIECE ATTENTION_PIECE TILES TAIL".split()
OF_HALVES = "WIDE_WHOLE WIDE_LAST WIDE_UNITS_PIECE WIDE_ATTENTION_PIECE LOGITS_HALF".split()
OF_VALIDATIONS = "FORWARD SCORES LOGITS".split()


def measured(
    config: dict[str, Any],
    *,
    tokens: int,
    count: int,
    every: int,
    dials: Dials | None,
    dtype: str = "float32",
    bits: int | None = None,
    packed: int = 0,
) -> tuple[int, Callable[[], int]]:
    """Take one step with a random model; return its peak in bytes and what forecasts it.

    `packed`: a row of episodes of so many tokens.
    """
    mx.random.seed(0)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    model.set_dtype(getattr(mx, dtype))
    if bits:
        nn.quantize(model, group_size=32, bits=bits)
        config = config | {"quantization": {"bits": bits, "group_size": 32}}
    shape = sizes_of(config, tensors_of(model), Lora(), item=getattr(mx, dtype).size)
    add_adapter(model, Lora())
    model.train()
    draw = np.random.default_rng(0)
    lengths = [packed] * (tokens // packed) if packed else [tokens]
    episodes = [
        Episode(
            "random",
            draw.integers(0, config["vocab_size"], length).tolist(),
            [(end - 2, end) for end in range(every, length + 1, every)],
        )
        for length in lengths
    ]
    batch = make_batch(episodes * count, Objective(), packed=bool(packed))
    mx.eval(model.parameters())
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    loss, gradients = loss_and_gradients(model, batch, dials)
    mx.eval(loss, gradients)
    peak = mx.get_peak_memory() - before
    return peak, lambda: forecast(shape, load_of(batch), dials).total


def tensors_of(model: Any) -> dict[str, Tensor]:
    """Return what headers would tell of a model's weights."""
    arrays: Any = tree_flatten(model.parameters())
    return {name: Tensor(DTYPES[array.dtype], array.shape) for name, array in arrays}


def measured_and_forecast(config: dict[str, Any], **step: Any) -> tuple[int, int]:
    """Return the peak of a step and its forecast, in bytes."""
    peak, expected = measured(config, **step)
    return peak, expected()


def measured_validation(
    config: dict[str, Any], *, prompt: int, queries: int, query: int, answer: int
) -> tuple[int, Callable[[], int]]:
    """Read a prompt, ask queries after it, all at once; return the peak and what forecasts it."""
    mx.random.seed(0)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    shape = sizes_of(config, tensors_of(model), Lora(), item=4)
    model.eval()
    draw = np.random.default_rng(0)

    def demonstration(length: int) -> Demonstration:
        tokens = draw.integers(0, config["vocab_size"], length).tolist()
        return Demonstration(tokens[:-answer], tokens[:-answer], tokens[-answer:])

    asked = [Query(Example("", ""), demonstration(query)) for _ in range(queries)]
    shown = Episode("random", [])
    shown.add(demonstration(prompt))
    prompts = Prompts([], [shown], asked, (1,), prompt + query, 0)
    mx.eval(model.parameters())
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    for _, context in growing_prefix(model, prompts, 0):
        compare(context, asked, first=False, at_once=queries)
    peak = mx.get_peak_memory() - before
    limitless = Planner(shape, Memory(), 10**15)
    return peak, lambda: plan_validation(limitless, Asked(prompt, queries, query, answer)).total


def measured_and_forecast_validation(**case: Any) -> tuple[int, int]:
    """Return the peak of a validation and its forecast, in bytes."""
    peak, expected = measured_validation(**case)
    return peak, expected()


def fit(module: Any, names: list[str], cases: list[tuple[int, Callable[[], int]]]) -> None:
    """Change one factor at a time, in place, as long as forecasts come nearer to the peaks."""
    tables = [getattr(module, name) for name in names]
    places = [(table, name) for table in tables if isinstance(table, dict) for name in table]
    places += [(vars(module), name) for name in names if isinstance(getattr(module, name), float)]

    def distance() -> float:
        return sum(log(expected() / peak) ** 2 for peak, expected in cases)

    for step in (1.1, 1.03, 1.01):
        before, best = float("inf"), distance()
        while best < 0.999 * before:
            before = best
            for (table, name), by in [(one, by) for one in places for by in (step, 1 / step)]:
                old = table[name]
                table[name] = old * by
                if (now := distance()) < best:
                    best = now
                else:
                    table[name] = old


def random_validations(
    number: int, seed: int, most_work: float = MOST_WORK
) -> Iterator[dict[str, Any]]:
    """Draw models with the proportions of real ones, and validations of moderate size."""
    draw = random.Random(seed)
    for case in random_cases(number, seed, most_work):
        query = draw.choice([16, 40, 100, 250])
        yield {
            "config": case["config"],
            "prompt": draw.choice([1, 2]) * case["tokens"] // 2,
            "queries": draw.choice([1, 1, 2, 4, 8, 16]),
            "query": query,
            "answer": draw.choice([1, 2, 8, query // 2]),
        }


def random_cases(number: int, seed: int, most_work: float = MOST_WORK) -> Iterator[dict[str, Any]]:
    """Draw models with the proportions of real ones, and steps of moderate size."""
    draw = random.Random(seed)
    while number:
        hidden, head_dim = draw.choice([128, 256, 512]), draw.choice([32, 64])
        heads = hidden // head_dim * draw.choice([1, 1, 2])
        layers = draw.choice([3, 4, 6, 9])
        config: dict[str, Any] = {
            "model_type": "llama",
            "num_hidden_layers": layers,
            "hidden_size": hidden,
            "intermediate_size": int(hidden * draw.uniform(2, 6)),
            "num_attention_heads": heads,
            "num_key_value_heads": heads // draw.choice([1, 2]),
            "head_dim": head_dim,
            "vocab_size": draw.choice([500, 4000, 32000]),
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
        }
        tokens, count = draw.choice([512, 1024, 1500, 2048, 3072]), draw.choice([1, 1, 2])
        chunk, stash = draw.choice([0, 128, 256, 512]), draw.choice([1, 2, 3, layers])
        width = hidden + config["intermediate_size"]
        if count * tokens * layers * width * 1000 > most_work:
            continue
        number -= 1
        yield {
            "config": config,
            "tokens": tokens,
            "count": count,
            "every": draw.choice([16, 32, 128]),
            "dials": Dials(chunk, stash) if chunk else None,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most-work", type=float, default=MOST_WORK)
    parser.add_argument("--dtype", default="float32", help="of the steps: bfloat16, float16")
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--fit", action="store_true", help="print factors that fit better")
    measurements.add_option(parser)
    arguments = parser.parse_args()
    draw = random_validations if arguments.validation else random_cases
    measure = measured_validation if arguments.validation else measured
    cases = []
    for case in draw(arguments.models, arguments.seed, arguments.most_work):
        case |= {} if arguments.validation else {"dtype": arguments.dtype}
        peak, expected = measure(**case)
        cases.append((peak, expected))
        sizes = " ".join(str(v) for v in case.pop("config").values() if isinstance(v, int))
        print(f"{expected() / peak:.2f}  {peak / 1e6:7.1f} MB  {sizes}  {case}")
    summarize(cases)
    ratios = {"forecast / measured peak": [expected() / peak for peak, expected in cases]}
    about = "validations" if arguments.validation else f"steps in {arguments.dtype}"
    measurements.keep(arguments.table, ratios, method=f"forecasts of {about}", model="random")
    if arguments.fit:
        module = evaluation if arguments.validation else step_memory
        names = OF_STEPS if arguments.dtype == "float32" else OF_HALVES
        names = OF_VALIDATIONS if arguments.validation else names
        fit(module, names, cases)
        print(*(f"{name} = {getattr(module, name)}" for name in names), sep="\n")
        summarize(cases)


def summarize(cases: list[tuple[int, Callable[[], int]]]) -> None:
    ratios = [expected() / peak for peak, expected in cases]
    near = sum(abs(ratio - 1) < 0.15 for ratio in ratios)
    print(f"{near} of {len(ratios)} within 15 %; from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
