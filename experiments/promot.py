"""ProMoT (arXiv 2211.00635) on the embedded model: does a removable soft prompt take the format?

    python experiments/promot.py

A base is made first: the embedded model, trained many-shot on eight generated tasks and fused. It
is then tuned to one task of another format without demonstrations (a rule, an answer of several
words), plainly or behind a soft prompt that was trained before and is frozen then; afterwards the
prompt is removed. A line for each way and seed: that task's own queries, and four tasks of the
first kind held out, behind demonstrations.

The prompt are vectors that the first layer's inputs of some tokens before the episode begin with.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from neighbours import measured

from yofo_mlx.system import blas

blas.preload()

import os
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from yofo_mlx.episodes.batches import make_batch
from yofo_mlx.episodes.passes import draw_passes
from yofo_mlx.episodes.sampler import Episode
from yofo_mlx.models.adapters import add_adapter
from yofo_mlx.models.base import base_of
from yofo_mlx.planning.workload import make_workload
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.training.loop import update
from yofo_mlx.training.schedule import learning_rate, share_done
from yofo_mlx.training.setup import Setup
from yofo_mlx.training.trainer import Learner, Onlooker

PROMPT, PROMPT_RATE = 16, 3e-2  # its tokens; a prompt wants a higher rate than an adapter
OWN = "synthetic:rule:1"
OTHERS = "synthetic:classify:100-103"


def recipe_of(seed: int, tokens: int, source: str, rate: float, **episodes: Any) -> Recipe:
    data: dict[str, Any] = {
        "model": "tiny",
        "seed": seed,
        "lora": {"rank": 16, "scale": 2.0},
        "template": {"style": "plain", "input": "{input} ->", "output": " {output}\n"},
        "episodes": {"max_tokens": 256, **episodes},
        "optimizer": {"learning_rate": rate, "schedule": "linear"},
        "train": {"tokens": tokens, "batch_tokens": 512},
        "evaluation": {"shots": [1, 4, 16], "queries": 16},
        "tasks": [
            {"source": source, "limit": 96},
            {"source": OTHERS, "role": "held_out"},
        ],
    }
    return resolve(data, "promot", None, ())


class Prompted:
    """Before a layer's class: while it is on, its first tokens' inputs are trained vectors."""

    def __call__(self: Any, x: mx.array, *args: Any, **kwargs: Any) -> Any:
        """Compute as the layer does, of other inputs."""
        prompt = mx.broadcast_to(self.prompt.astype(x.dtype), (x.shape[0], *self.prompt.shape))
        x = mx.concatenate([prompt, x[:, len(self.prompt) :]], axis=1)
        return super().__call__(x, *args, **kwargs)  # type: ignore[misc]


def put_on(model: Any, seed: int) -> None:
    """Let the first layer begin with a fresh prompt, the only thing that is trained."""
    layer = model.layers[0]
    layer.__class__ = type("PromptedLayer", (Prompted, type(layer)), {})
    table = model.model.embed_tokens.weight
    drawn = np.random.default_rng(seed).integers(0, table.shape[0], PROMPT)
    model.freeze()
    layer.prompt = model.model.embed_tokens(mx.array(drawn)).astype(mx.float32)


def take_off(model: Any) -> None:
    layer = model.layers[0]
    layer.__class__ = type(layer).__mro__[2]
    layer.pop("prompt")


def behind(episode: Episode) -> Episode:
    """Return an episode behind the places of a prompt; what stands there is never read."""
    spans = [(start + PROMPT, end + PROMPT) for start, end in episode.answers]
    return replace(episode, tokens=[0] * PROMPT + episode.tokens, answers=spans)


def train(made: Learner, *, prompted: bool) -> float:
    """Train what is trainable of a model for a recipe's length; return the loss of its end."""
    losses = []
    recipe, state = made.recipe, made.state
    made.optimizer.init(made.model.trainable_parameters())
    sampler = made.setup.workload.sampler
    while made.share < 1:
        passes = list(draw_passes(sampler, recipe.train, state.step))
        tokens = sum(len(one.tokens) for episodes in passes for one in episodes)
        if prompted:
            passes = [[behind(one) for one in episodes] for episodes in passes]
        batches = [make_batch(episodes, recipe.objective) for episodes in passes]
        rate = learning_rate(
            recipe.optimizer, share_done(recipe.train, state.step + 1, state.tokens + tokens)
        )
        losses.append(update(made, batches, rate, Onlooker())[0])
        state.step, state.tokens = state.step + 1, state.tokens + tokens
    return float(np.mean(losses[-5:]))


def learner(recipe: Recipe, base: Any) -> Learner:
    entries = load_tasks(recipe.tasks, recipe.seed, Path(os.devnull))
    return Learner(recipe, Setup(base, make_workload(recipe, entries, base.tokenizer)))


def figures(made: Learner) -> Iterator[dict[str, Any]]:
    made.model.eval()
    entries = load_tasks(made.recipe.tasks, made.recipe.seed, Path(os.devnull))
    yield from ({"of": "others", **row} for row in measured(made.recipe, made.setup.base, entries))
    own = [replace(one, role="held_out") for one in entries if one.role == "train"]
    zero = made.recipe.model_copy(
        update={"evaluation": made.recipe.evaluation.model_copy(update={"shots": (0,)})}
    )
    yield from ({"of": "own", **row} for row in measured(zero, made.setup.base, own))


def made_base(recipe: Recipe) -> list[tuple[str, mx.array]]:
    """Return the weights of a model that has learned to learn from demonstrations."""
    base = base_of(recipe)
    add_adapter(base.model, recipe.lora)
    train(learner(recipe, base), prompted=False)
    fused = [(name, one.fuse()) for name, one in base.model.named_modules() if hasattr(one, "fuse")]
    base.model.update_modules(tree_unflatten(fused))
    flat: Any = tree_flatten(base.model.parameters())
    mx.eval([array for _, array in flat])
    return list(flat)


def tuned(way: str, recipe: Recipe, base: Any) -> tuple[Learner, list[float]]:
    """Tune a base in one of the ways; return what learned, and the loss at each stage's end."""
    made, losses = learner(recipe, base), []
    if way == "base":
        return made, losses
    if way == "ProMoT":
        put_on(base.model, recipe.seed)
        faster = recipe.optimizer.model_copy(update={"learning_rate": PROMPT_RATE})
        stage = recipe.model_copy(update={"optimizer": faster})
        losses.append(train(learner(stage, base), prompted=True))
    add_adapter(base.model, recipe.lora)  # and freeze the prompt
    losses.append(train(made, prompted=way == "ProMoT"))
    if way == "ProMoT":
        take_off(base.model)
    return made, losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=20_000, help="of the base")
    parser.add_argument("--tuning", type=int, default=12_000, help="tokens of each stage")
    options = parser.parse_args()
    for seed in range(options.seeds):
        mx.random.seed(seed)
        many = recipe_of(seed, options.tokens, "synthetic:classify:8", 5e-3)
        weights = made_base(many)
        for way in ("base", "plain", "ProMoT"):
            base = base_of(many)
            base.model.load_weights(weights)
            own = recipe_of(seed, options.tuning, OWN, 2e-3, max_shots=0)
            made, losses = tuned(way, own, base)
            print(json.dumps({"way": way, "seed": seed, "losses": losses}), flush=True)
            for row in figures(made):
                print(json.dumps({"way": way, "seed": seed, **row}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
