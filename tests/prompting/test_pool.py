"""Rows that go on from kept paths are read as whole prompts."""

from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from tests.tiny_models import tiny_model
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.pool import Path, Pool


class Rows:
    """Rows of a pool, by the texts that they have read."""

    def __init__(self) -> None:
        self.model = tiny_model("llama")
        self.prefix = np.random.default_rng(1).integers(1, 90, 20).tolist()
        self.context = Context(self.model)
        self.context.read(self.prefix)
        self.pool = Pool(self.context.layers)
        self.texts: dict[Path, list[int]] = {(): []}

    def read(self, paths: list[Path], more: list[list[int]], counts: list[int]) -> list[Path]:
        """Read on from paths; each row is judged at its end, and so many of its tokens kept."""
        rows = self.context.behind(self.pool.rows(paths))
        ends = [row * len(more[0]) + len(more[0]) - 1 for row in range(len(paths))]
        found = np.array(rows.logits(mx.array(more), mx.array(ends)))
        for logits, path, text in zip(found, paths, more, strict=True):
            np.testing.assert_allclose(logits, self.alone([*self.texts[path], *text]), atol=1e-3)
        kept = self.pool.keep(rows.layers, paths, counts)
        for path, before, text, count in zip(kept, paths, more, counts, strict=True):
            self.texts[path] = [*self.texts[before], *text[:count]]
        return kept

    def alone(self, text: list[int]) -> Any:
        """Return logits at the end of a text read as one with the prefix."""
        whole = mx.array([[*self.prefix, *text]])
        return np.array(self.model(whole)[0, -1].astype(mx.float32))


@pytest.mark.parametrize("least", [1, 256])
def test_rows_go_on_from_any_kept_beginning(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yofo_mlx.prompting.pool._LEAST", least)
    rows, draw = Rows(), np.random.default_rng(2)

    def drawn(count: int, width: int) -> list[list[int]]:
        return draw.integers(1, 90, (count, width)).tolist()  # type: ignore[no-any-return]

    a, b, c = rows.read([(), (), ()], drawn(3, 5), [5, 2, 4])
    assert rows.pool.count == 11
    d, e, same, f = rows.read([c, a, b, a], drawn(4, 2), [2, 1, 0, 2])
    assert same == b and {*f} > {*a} and len({*d, *e, *f, *b}) == 4 + 2 + 5 + 3 + 2
    rows.pool.free({*d, *b})
    g, h = rows.read([f, e], drawn(2, 3), [3, 3])
    assert rows.pool.count == 5 + 2 + 1 + 3 + 3
    rows.read([g, h, ()], drawn(3, 1), [0, 0, 0])


def test_nothing_kept_takes_no_slot() -> None:
    rows = Rows()
    assert rows.read([()], [[3, 4]], [0]) == [()]
    assert rows.pool.count == 0 and rows.pool.nbytes == 0
