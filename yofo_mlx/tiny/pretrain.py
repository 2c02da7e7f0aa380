"""Pre-train the embedded model: `python -m yofo_mlx.tiny.pretrain --out DIR`.

MLX runs element-wise operations on one core, so two processes make use of two:
`mlx.launch -n 2 --backend ring -- python -m yofo_mlx.tiny.pretrain --out DIR`. The data depends
on the seed and the number of processes alone.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import cast

import mlx.core as mx

from yofo_mlx.tiny.documents import SKILLS, SURE, exercise, rows
from yofo_mlx.tiny.network import Shape, Weights, cross_entropy, logits
from yofo_mlx.tiny.tokenizer import BOS, EOS, build_tokenizer, pieces, save_tokenizer
from yofo_mlx.tiny.updater import Updater
from yofo_mlx.tiny.wiring import initial_weights

STAGES = ((0.3, 128), (0.75, 256), (1.0, 576))  # (until this share of the tokens, row length)


@dataclass(frozen=True)
class Plan:
    """How much to train, and on how much at once."""

    tokens: int
    tokens_per_step: int = 4096
    seed: int = 0

    @property
    def steps(self) -> int:
        """Return the number of updates."""
        return max(1, self.tokens // self.tokens_per_step)

    def row_length(self, step: int) -> int:
        """Return how long the rows of a step are, in tokens."""
        return next(length for until, length in STAGES if step < until * self.steps)


def piece_ids() -> dict[str, int]:
    """Return the id of every piece by its text as documents write it."""
    tokenizer = build_tokenizer()
    return {
        tokenizer.decode([index], skip_special_tokens=False): index
        for index in range(len(pieces()))
    }


def weighted_loss(weights: Weights, shape: Shape, tokens: mx.array, shares: mx.array) -> mx.array:
    """Return the sum of the losses, each times its share, of tokens (B, L)."""
    losses = cross_entropy(logits(weights, shape, tokens[:, :-1]), tokens[:, 1:])
    return (losses * shares[:, 1:]).sum()


def pretrain(shape: Shape, plan: Plan, report: Callable[[str], None]) -> Weights:
    """Return weights trained on the plan's tokens, shared among the processes of mlx.launch."""
    group = mx.distributed.init()
    ids = piece_ids()
    sources = {
        length: rows(f"{plan.seed} {length} {group.rank()}", length, ids) for _, length in STAGES
    }
    gradients = mx.value_and_grad(weighted_loss)
    weights, updater = initial_weights(shape, plan.seed), Updater(plan.steps)
    began = time.monotonic()
    for step in range(plan.steps):
        length = plan.row_length(step)
        count = max(1, plan.tokens_per_step // group.size() // length)
        tokens, shares = zip(*islice(sources[length], count), strict=True)
        found = gradients(weights, shape, mx.array(tokens), mx.array(shares))
        loss, gradient = average(group, *found, mx.array(shares)[:, 1:].sum())
        weights = updater.apply(gradient, weights)
        if step % 100 == 99 or step == plan.steps - 1:
            speed = (step + 1) * plan.tokens_per_step / (time.monotonic() - began)
            report(f"step {step + 1}/{plan.steps} loss {loss.item():.3f} {speed:.0f} tokens/s")
        if step % 100 == 99 or step == plan.steps - 1:
            accuracy = skill_accuracy(weights, shape)
            report("  " + " ".join(f"{name} {share:.2f}" for name, share in accuracy.items()))
    return weights


def average(
    group: mx.distributed.Group, loss: mx.array, gradient: Weights, shares: mx.array
) -> tuple[mx.array, dict[str, mx.array]]:
    """Add up what the processes found, in one message, and divide by their loss shares."""
    parts = [loss[None], shares[None], *(part.flatten() for part in gradient.values())]
    summed = mx.distributed.all_sum(mx.concatenate(parts), group=group)
    mean, start = summed / summed[1], 2
    result: dict[str, mx.array] = {}
    for name, part in gradient.items():
        result[name] = mean[start : start + part.size].reshape(part.shape)
        start += part.size
    return mean[0], result


def skill_accuracy(
    weights: Weights, shape: Shape, length: int = 256, count: int = 8
) -> dict[str, float]:
    """Return per skill the share of answer tokens foreseen in the second half of new exercises."""
    ids = piece_ids()
    accuracy: dict[str, float] = {}
    for skill in SKILLS:
        random = Random(f"accuracy {skill}")
        documents = [exercise(random, skill, length)[:length] for _ in range(count)]
        tokens = mx.array([[ids[piece] for piece, _ in document] for document in documents])
        sure = mx.array([[share == SURE for _, share in document] for document in documents])
        hits = logits(weights, shape, tokens)[:, :-1].argmax(axis=-1) == tokens[:, 1:]
        asked = sure[:, 1:] & (mx.arange(1, length) >= length // 2)
        accuracy[skill] = cast(float, ((hits & asked).sum() / asked.sum()).item())
    return accuracy


def save(weights: Weights, shape: Shape, directory: Path) -> None:
    """Write a directory that mlx-lm loads; the weights in half precision."""
    directory.mkdir(parents=True, exist_ok=True)
    save_tokenizer(directory)
    ids = piece_ids()
    config = json.dumps(shape.config(ids[BOS], ids[EOS]), indent=2)
    (directory / "config.json").write_text(config + "\n")
    halves = {name: value.astype(mx.float16) for name, value in weights.items()}
    mx.save_safetensors(str(directory / "model.safetensors"), halves, {"format": "mlx"})


def say(line: str) -> None:
    """Write a line to stdout now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line, train, write."""
    parser = argparse.ArgumentParser(description="Pre-train yofo's embedded model.")
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=4_200_000)
    given = parser.parse_args()
    mx.set_default_device(mx.cpu)
    plan = Plan(tokens=given.tokens, seed=given.seed)
    first = mx.distributed.init().rank() == 0
    weights = pretrain(Shape(), plan, say if first else lambda _: None)
    if first:
        save(weights, Shape(), given.out)


if __name__ == "__main__":
    main()
