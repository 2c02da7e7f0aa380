"""Keys and values refined by gradient: their loss is that of the others alone; files keep them."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx_lm.models.cache import load_prompt_cache

from tests.fakes import ByteTokenizer, random_llama, sliding_gemma
from yofo_mlx.errors import FitError, RunError
from yofo_mlx.prompting import cache_file
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.refining import check_memory, held_of, left_out_loss, refine, spans
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.task import Example

SHOTS = [Example(f"word {n} {'abc'[n % 3] * 2}", ("yes", "no", "so so")[n % 3]) for n in range(6)]


def filled(model: Any, shots: list[Example] = SHOTS) -> Prefix:
    prefix = Prefix(Context(model), ByteTokenizer(), Template(style="plain"), None)
    prefix.choose(shots, "Say.")
    prefix.fill()
    return prefix


class Whole:
    """A cache that holds nothing and lets a mask through."""

    offset = 0

    def __init__(self, mask: Any) -> None:
        self.mask = mx.array(mask)

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        return keys, values

    def make_mask(self, *_: Any, **__: Any) -> mx.array:
        return self.mask


def naive_loss(model: Any, prefix: Prefix, at: int, hidden: Any) -> float:
    """Read everything at once: the demonstrations as ever, the query without its own."""
    shot = prefix.demonstrations[at]
    question = prefix.segmenter.question(shot.input)
    answer = prefix.segmenter.answer(shot.output)
    tokens, length = [*prefix.tokens, *question, *answer], len(prefix.tokens)
    mask = np.tri(len(tokens), dtype=bool)
    start, end = spans(prefix)[at]
    mask[length:, start:end] = False
    mask[length:, :length] &= ~hidden
    logits = model(mx.array([tokens]), cache=[Whole(mask) for _ in model.layers])[0]
    rows = logits[len(tokens) - len(answer) - 1 : -1]
    return float(nn.losses.cross_entropy(rows, mx.array(answer)).mean().item())


def test_the_loss_is_that_of_each_behind_the_others_and_its_gradient_is_its_slope() -> None:
    model = random_llama()
    prefix = filled(model)
    assert spans(prefix)[0][0] == len(prefix.segmenter.opening)
    assert spans(prefix)[-1][1] == len(prefix.tokens)
    hidden = np.random.default_rng(0).random((3, len(prefix.tokens))) < 0.2
    chosen, held = [4, 0, 2], held_of(prefix)
    found = left_out_loss(model, held, prefix, chosen, hidden)
    naive = [naive_loss(model, prefix, at, row) for at, row in zip(chosen, hidden, strict=True)]
    assert found.item() == pytest.approx(np.mean(naive), rel=1e-4)

    def loss(held: Any) -> mx.array:
        return left_out_loss(model, held, prefix, chosen, hidden)

    gradient = mx.grad(loss)(held)
    mx.random.seed(0)
    way = [[mx.random.normal(a.shape) for a in pair] for pair in held]
    moved = [
        [
            [a + step * w for a, w in zip(one, two, strict=True)]
            for one, two in zip(held, way, strict=True)
        ]
        for step in (1e-2, -1e-2)
    ]
    slope = (loss(moved[0]) - loss(moved[1])).item() / 2e-2
    along = sum(
        (g * w).sum().item()
        for one, two in zip(gradient, way, strict=True)
        for g, w in zip(one, two, strict=True)
    )
    assert slope == pytest.approx(along, rel=2e-2)
    # What a demonstration brought itself has no part in its own loss.
    alone = mx.grad(lambda held: left_out_loss(model, held, prefix, [1], hidden[:1]))(held)
    start, end = spans(prefix)[1]
    assert not alone[0][1][..., start:end, :].any().item() and alone[0][1].any().item()


def test_refined_they_explain_one_another_better_and_a_file_keeps_them(tmp_path: Path) -> None:
    model = random_llama()
    prefix = filled(model)
    before = held_of(prefix)
    losses: list[float] = []
    refine(prefix, steps=12, learning_rate=0.03, on_step=lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.9 * losses[0] and len(losses) == 12
    again = filled(model)
    assert all(mx.array_equal(a, b) for a, b in zip(before[0], held_of(again)[0], strict=True))
    refine(again, steps=12, learning_rate=0.03)
    assert mx.array_equal(held_of(again)[1][0], held_of(prefix)[1][0])  # a function of the seed
    asked = [(prefix.segmenter.question("word 9"), prefix.segmenter.answer("yes"))]
    expected = read_answers(prefix.context, asked)[0].losses
    path = cache_file.save(tmp_path / "one", prefix, {"model": "x"})
    taken = Prefix(Context(model), ByteTokenizer(), Template(style="plain"), None)
    cache_file.load(path, taken, {"model": "x"})
    np.testing.assert_array_equal(read_answers(taken.context, asked)[0].losses, expected)
    theirs = load_prompt_cache(str(path))
    assert theirs[0].offset == len(prefix.tokens)


def test_what_cannot_be_refined_is_refused() -> None:
    with pytest.raises(RunError, match="cannot be refined"):
        held_of(filled(sliding_gemma()))
    prefix = filled(random_llama())
    prefix.context.memory_limit = 1000
    with pytest.raises(FitError, match="rows at once"):
        check_memory(prefix, 8)
