"""What depends on a chunk alone is found once a chunk, not once a layer and chunk."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import pytest

from tests.fakes import sliding_gemma
from tests.gradients.test_chunked import ANSWERS, adapted, batch_of, episode, llama, run
from yofo_mlx.gradients import Dials, stack
from yofo_mlx.gradients.layer_cache import KeyValues
from yofo_mlx.gradients.stack import Stack

CHUNKS = 10  # of 5 tokens


def models() -> list[Callable[[], Any]]:
    return [llama, lambda: adapted(sliding_gemma())]


@pytest.mark.parametrize("make", models())
def test_a_step_runs_the_code_around_the_layers_once_a_chunk(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets: list[int] = []
    once = Stack._run

    def counted(model: Stack, tokens: mx.array, offset: int, recording: Any) -> Any:
        if not recording.given:  # such are the logits
            offsets.append(offset)
        return once(model, tokens, offset, recording)

    monkeypatch.setattr(Stack, "_run", counted)
    model, batch = make(), batch_of(episode(50, ANSWERS))
    expected = run(model, batch, Dials(5, 1))
    assert offsets == [*range(0, 46, 5)]
    monkeypatch.setattr(stack, "ARGUMENTS_KEPT", -1)
    offsets.clear()
    loss, gradients = run(model, batch, Dials(5, 1))
    assert len(offsets) > 3 * CHUNKS
    assert loss == expected[0]
    assert all(mx.array_equal(gradients[name], array) for name, array in expected[1].items())


def test_past_the_length_of_a_window_chunks_share_a_mask() -> None:
    cache = KeyValues(window=8)
    masks = []
    for cache.offset in (0, 4, 8, 12, 16):
        masks.append(cache.make_mask(4, window_size=8))
    assert masks[:2] == ["causal", "causal"]
    assert masks[2].shape == (4, 12)
    assert masks[2] is masks[3] is masks[4]
    assert cache.make_mask(2, window_size=8).shape == (2, 10)


def test_a_layer_has_the_name_of_its_place_in_the_tree() -> None:
    assert Stack(llama(layers=2)).names == ["model.layers.0", "model.layers.1"]
