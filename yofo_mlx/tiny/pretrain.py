"""Pre-train the embedded model: `python -m yofo_mlx.tiny.pretrain --out DIR`.

Two processes each work on half of every batch, because MLX runs element-wise operations on one
core. The order of the data depends on the seed alone.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import mlx.core as mx
import mlx.optimizers as optimizers

from yofo_mlx.tiny.documents import SKILL_SHARES, SURE, draw_skill, exercise, rows
from yofo_mlx.tiny.network import Shape, cross_entropy, logits
from yofo_mlx.tiny.tokenizer import EOS, BOS, build_tokenizer, pieces, save_tokenizer
from yofo_mlx.tiny.wiring import initial_weights

from random import Random

Weights = dict[str, mx.array]

STAGES = ((0.25, 128), (0.7, 256), (1.0, 512))  # (until this share of the tokens, row length)


@dataclass(frozen=True)
class Plan:
    """How much to train, and on how much at once."""

    tokens: int
    tokens_per_step: int = 4096
    workers: int = 2
    seed: int = 0

    @property
    def steps(self) -> int:
        return max(1, self.tokens // self.tokens_per_step)

    def row_length(self, step: int) -> int:
        return next(length for until, length in STAGES if step < until * self.steps)


def piece_ids() -> dict[str, int]:
    """Return the id of every piece by its text as documents write it."""
    tokenizer = build_tokenizer()
    return {tokenizer.decode([index], skip_special_tokens=False): index for index in range(len(pieces()))}


def weighted_loss(weights: Weights, shape: Shape, tokens: mx.array, shares: mx.array) -> mx.array:
    """Return the sum of the losses, each times its share, of tokens (B, L)."""
    losses, _ = cross_entropy(logits(weights, shape, tokens[:, :-1]), tokens[:, 1:])
    return (losses * shares[:, 1:]).sum()


def work(channel: Connection, shape: Shape, plan: Plan, number: int) -> None:
    """Answer every set of weights with loss and gradients of this worker's next batch."""
    ids = piece_ids()
    gradients = mx.value_and_grad(weighted_loss)
    names: list[str] = channel.recv()
    sources = {
        length: rows(1000 * plan.seed + 10 * length + number, length, ids, ids[EOS])
        for _, length in STAGES
    }
    for step in range(plan.steps):
        length = plan.row_length(step)
        count = max(1, plan.tokens_per_step // plan.workers // length)
        batch = [next(sources[length]) for _ in range(count)]
        tokens, shares = mx.array([row for row, _ in batch]), mx.array([row for _, row in batch])
        weights = dict(zip(names, channel.recv(), strict=True))
        loss, gradient = gradients(weights, shape, tokens, shares)
        mx.eval(loss, gradient)
        channel.send((loss.item(), shares[:, 1:].sum().item(), [gradient[name] for name in names]))


@dataclass
class Updater:
    """Muon for the matrices of the layers, AdamW for embedding and norms."""

    matrices: optimizers.Optimizer
    others: optimizers.Optimizer

    @classmethod
    def scheduled(cls, steps: int) -> "Updater":
        def schedule(peak: float) -> Callable[[mx.array], mx.array]:
            warm, hold = min(100, steps // 4 + 1), int(0.6 * steps)
            parts = [
                optimizers.linear_schedule(0.01 * peak, peak, warm),
                lambda _: mx.array(peak),
                optimizers.linear_schedule(peak, 0.03 * peak, max(1, steps - hold)),
            ]
            return optimizers.join_schedules(parts, [warm, max(hold, warm + 1)])

        adam = optimizers.AdamW(schedule(3e-3), betas=[0.9, 0.98], weight_decay=0.0)
        return cls(optimizers.Muon(schedule(0.02)), adam)

    def apply(self, gradients: Weights, weights: Weights) -> Weights:
        gradients, _ = optimizers.clip_grad_norm(gradients, 1.0)
        matrices = {name for name in weights if name.endswith("_proj.weight")}
        updated = {}
        for optimizer, names in ((self.matrices, matrices), (self.others, set(weights) - matrices)):
            part = {name: gradients[name] for name in sorted(names)}
            updated |= optimizer.apply_gradients(part, {name: weights[name] for name in part})
        mx.eval(updated, self.matrices.state, self.others.state)
        return {name: updated[name] for name in weights}


def pretrain(shape: Shape, plan: Plan, report: Callable[[str], None]) -> Weights:
    """Return weights trained on the plan's tokens."""
    context = multiprocessing.get_context("spawn")
    weights, updater = initial_weights(shape, plan.seed), Updater.scheduled(plan.steps)
    channels = []
    for number in range(plan.workers):
        ours, theirs = context.Pipe()
        context.Process(target=work, args=(theirs, shape, plan, number), daemon=True).start()
        ours.send(list(weights))
        channels.append(ours)
    began = time.monotonic()
    for step in range(plan.steps):
        for channel in channels:
            channel.send(list(weights.values()))
        answers = [channel.recv() for channel in channels]
        shares = sum(share for _, share, _ in answers)
        summed = [sum(parts) / shares for parts in zip(*(found for _, _, found in answers), strict=True)]
        weights = updater.apply(dict(zip(weights, summed, strict=True)), weights)
        if step % 100 == 99 or step == plan.steps - 1:
            loss = sum(loss for loss, _, _ in answers) / shares
            speed = (step + 1) * plan.tokens_per_step / (time.monotonic() - began)
            report(f"step {step + 1}/{plan.steps} loss {loss:.3f} {speed:.0f} tokens/s")
        if step % 400 == 399 or step == plan.steps - 1:
            accuracy = skill_accuracy(weights, shape)
            report("  " + " ".join(f"{name} {share:.2f}" for name, share in accuracy.items()))
    return weights


def skill_accuracy(weights: Weights, shape: Shape, length: int = 256, count: int = 8) -> dict[str, float]:
    """Return per skill the share of answer tokens foreseen in the second half of new exercises."""
    ids, accuracy = piece_ids(), {}
    for skill in SKILL_SHARES:
        random = Random(f"accuracy {skill}")
        documents = [exercise(random, draw_skill(random, skill), length)[:length] for _ in range(count)]
        tokens = mx.array([[ids[piece] for piece, _ in document] for document in documents])
        sure = mx.array([[share == SURE for _, share in document] for document in documents])
        hits = logits(weights, shape, tokens)[:, :-1].argmax(axis=-1) == tokens[:, 1:]
        asked = sure[:, 1:] & (mx.arange(1, length) >= length // 2)
        accuracy[skill] = ((hits & asked).sum() / asked.sum()).item()
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Pre-train yofo's embedded model.")
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=10_000_000)
    given = parser.parse_args()
    mx.set_default_device(mx.cpu)
    plan = Plan(tokens=given.tokens, seed=given.seed)
    weights = pretrain(Shape(), plan, lambda line: print(line, flush=True))
    save(weights, Shape(), given.out)


if __name__ == "__main__":
    main()
