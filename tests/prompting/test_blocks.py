"""Demonstrations in blocks: dense they are full attention, sparse they are what a mask says."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
import pytest

from tests.fakes import ByteTokenizer, random_llama, recurrent_lfm, sliding_gemma
from tests.tiny_models import tiny_model
from yofo_mlx.errors import Cancelled, DataError, FitError, RunError
from yofo_mlx.models.rotary import attentions, raw_keys
from yofo_mlx.prompting.batched import answer_each
from yofo_mlx.prompting.blocks import Blocks, Selection, sparse
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.label_tree import score
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.task import Example

SHOTS = [Example(f"input {n}", f"answer {n % 3}") for n in range(24)]
QUERIES = ("input 9", "something else altogether")


class Tokenizer(ByteTokenizer):
    """The byte tokenizer with what mlx-lm's wrapper adds."""

    eos_token_ids = (257,)


def empty(model: Any, limit: int | None = None, memory: int | None = None) -> Prefix:
    return Prefix(Context(model, memory), Tokenizer(), Template(), limit)


def in_blocks(model: Any, shots: list[Example] = SHOTS, size: int = 3, **options: Any) -> Blocks:
    blocks = Blocks(partial(empty, model), size=size, **options)
    blocks.fill(shots)
    return blocks


def dense(block: int) -> Selection:
    return tuple(range(block))


@pytest.fixture(scope="module", params=["llama", "qwen2", "qwen3"])
def model(request: pytest.FixtureRequest) -> Any:
    return tiny_model(request.param, vocab_size=261, num_hidden_layers=2)


def held(context: Context) -> list[mx.array]:
    """Return keys and values of each layer, as far as they are in use."""
    return [
        array[..., : layer.offset, :]
        for layer in context.layers
        for array in (layer.keys, layer.values)
    ]


def logits(context: Context, question: list[int]) -> npt.NDArray[np.float32]:
    with context.aside():
        return np.array(context.logits(mx.array([question]), mx.arange(len(question))))


def test_all_blocks_that_see_all_are_full_attention(model: Any) -> None:
    whole, blocks = empty(model), in_blocks(model, SHOTS[:8], size=2, sees=dense)
    whole.choose(SHOTS[:8], "")
    whole.fill()
    found = blocks.prefix(dense(4))
    assert found.tokens == whole.tokens == found.context.tokens
    for one, other in zip(held(found.context), held(whole.context), strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), atol=1e-5)
    for query in QUERIES:
        question = whole.question(query)
        answers = [
            generate(prefix.context, prefix.segmenter, question, max_tokens=6)
            for prefix in (found, whole)
        ]
        assert answers[0].text == answers[1].text
        np.testing.assert_allclose(
            logits(found.context, question), logits(whole.context, question), atol=1e-4
        )


@pytest.mark.parametrize("selection", [(0, 2, 4), (0, 1, 2, 3, 4, 5), (0, 5)])
def test_blocks_are_one_forward_pass_with_a_dense_mask(model: Any, selection: Selection) -> None:
    blocks = in_blocks(model, SHOTS[:6], size=1)
    prefix = blocks.prefix(selection)
    question = prefix.question("input 9")
    pieces = [*(block.tokens for block in blocks.blocks), question]
    sees = [*map(sparse, range(len(blocks.blocks))), selection]
    expected = forward_with_mask(model, pieces, sees)[-len(question) :]
    np.testing.assert_allclose(logits(prefix.context, question), expected, atol=2e-4)


def forward_with_mask(
    model: Any, pieces: list[list[int]], sees: list[Selection]
) -> npt.NDArray[np.float32]:
    """Return the logits of all pieces in one pass, positions and mask told for each token.

    A piece sees itself and others; what it sees stands at positions without gaps.
    """
    lengths = [*map(len, pieces)]
    ends = [*accumulate(lengths)]
    spans = [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    mask = np.zeros((ends[-1], ends[-1]), dtype=bool)
    for span, seen in zip(spans, sees, strict=True):
        for other in seen:
            mask[np.ix_(span, spans[other])] = True
        mask[np.ix_(span, span)] = np.tri(len(span), dtype=bool)
    rope = attentions(model)[0].rope

    def attention(q: mx.array, k: mx.array, v: mx.array, *, scale: float, **_: Any) -> mx.array:
        groups = q.shape[1] // k.shape[1]
        rows = []
        for span in spans:
            q_at, seen = span[:1], np.flatnonzero(mask[span[-1]])
            at = int(np.searchsorted(seen, q_at[0]))
            keys = mx.repeat(rope(k[:, :, mx.array(seen)]), groups, axis=1)
            values = mx.repeat(v[:, :, mx.array(seen)], groups, axis=1)
            scores = rope(q[:, :, mx.array(span)], offset=at) @ keys.swapaxes(2, 3) * scale
            allowed = mx.array(mask[np.ix_(span, seen)])
            shares = mx.softmax(mx.where(allowed, scores, -mx.inf), axis=-1)
            rows.append(shares @ values)
        return mx.concatenate(rows, axis=2)

    with pytest.MonkeyPatch.context() as patch:
        for layer in attentions(model):
            patch.setattr(layer, "rope", lambda x, **_: x)
        patch.setattr(mx.fast, "scaled_dot_product_attention", attention)
        tokens = [token for piece in pieces for token in piece]
        found = np.array(model(mx.array([tokens]))[0])
    for layer in attentions(model):
        layer.rope = rope
    return found


def test_new_rows_are_new_blocks_and_touch_no_other() -> None:
    model = random_llama()
    blocks = in_blocks(model, SHOTS[:7])
    before = list(blocks.blocks)
    copies = [mx.array(array) for block in before for array in (*block.keys, *block.values)]
    read = blocks.fill(SHOTS)
    assert [len(block.examples) for block in blocks.blocks] == [3, 3, 1, 3, 3, 3, 3, 3, 2]
    assert all(old is new for old, new in zip(before, blocks.blocks, strict=False))
    assert read == sum(len(block.tokens) for block in blocks.blocks[3:])
    after = [array for block in before for array in (*block.keys, *block.values)]
    assert all(mx.array_equal(*pair).item() for pair in zip(copies, after, strict=True))


def test_what_is_shown_stays_in_its_place_and_doublets_are_left_out() -> None:
    blocks = Blocks(partial(empty, random_llama()), size=4)
    blocks.fill(blocks.order(SHOTS[:8], 1))
    before = list(blocks.blocks)
    assert blocks.fill(blocks.order(SHOTS[:8], 1)) == 0
    blocks.fill(blocks.order([*SHOTS[:12], *SHOTS[:3]], 1))
    assert blocks.blocks[:2] == before
    assert {one for block in blocks.blocks for one in block.examples} == set(SHOTS[:12])
    assert sum(len(block.examples) for block in blocks.blocks) == 12
    gone = before[1].examples[0]
    blocks.fill(blocks.order([one for one in SHOTS[:12] if one != gone], 1))
    assert blocks.blocks[0] is before[0]
    assert all(gone not in block.examples for block in blocks.blocks)


def test_encoding_is_linear_in_the_demonstrations(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[int, int]] = []
    read = Context.read

    def noted(context: Context, tokens: list[int], *args: Any) -> None:
        reads.append((len(context.tokens), len(tokens)))
        read(context, tokens, *args)

    monkeypatch.setattr(Context, "read", noted)
    costs = []
    for count in (12, 24, 48):
        reads.clear()
        blocks = in_blocks(random_llama(), [Example(f"in {n:02}", "same") for n in range(count)])
        assert sum(tokens for _, tokens in reads) == blocks.tokens
        costs.append(sum((seen + tokens) * tokens for seen, tokens in reads))
    first, second = (later - earlier for earlier, later in pairwise(costs))
    assert second == pytest.approx(2 * first, rel=0.02)  # each block more costs the same


def test_a_query_reads_the_anchor_and_a_share_of_the_blocks() -> None:
    shots = [Example(f"word{n // 2} and more of it", f"answer {n % 3}") for n in range(40)]
    blocks = in_blocks(random_llama(), shots, size=2)
    everything = blocks.prefix(dense(20)).context.nbytes
    for place in (3, 11, 19):
        query = f"word{place} and"
        selection = blocks.select(query)
        assert len(selection) == 6
        assert selection == tuple(sorted(selection))
        assert {0, place} <= set(selection)
        prefix = blocks.behind(query)
        assert prefix.is_filled
        assert prefix.context.nbytes <= 0.35 * everything
        assert len(prefix.tokens) <= 0.35 * blocks.tokens
        assert blocks.told(prefix).endswith(" tokens in blocks read")


def test_queries_are_asked_together_behind_the_same_blocks() -> None:
    shots = [Example(f"{chr(97 + n // 2) * 6}", f"answer {n % 3}") for n in range(20)]
    blocks = in_blocks(random_llama(), shots, size=2, share=0.2)
    queries = ["dddddd", "hhhhhh", "dddd", "hhhhhhh"]
    groups = dict(blocks.together(queries))
    assert groups == {(0, 3): [0, 2], (0, 7): [1, 3]}
    for selection, places in groups.items():
        prefix = blocks.prefix(selection)
        assert blocks.prefix(selection) is prefix
        asked = [prefix.question(queries[place]) for place in places]
        found = answer_each(prefix.context, prefix.segmenter, asked, max_tokens=6, at_once=2)
        for place, written in found:
            alone = generate(prefix.context, prefix.segmenter, asked[place], max_tokens=6)
            assert written.text == alone.text
    before = [mx.array(array) for array in held(blocks.prefix((0, 3)).context)]
    score(blocks.prefix((0, 3)).context, prefix.segmenter, asked[0], ["answer 1", "answer 12"])
    after = held(blocks.prefix((0, 3)).context)
    assert all(mx.array_equal(*pair).item() for pair in zip(before, after, strict=True))


def test_more_demonstrations_than_the_context_holds_are_encoded() -> None:
    blocks = Blocks(partial(empty, random_llama(), 640), size=3, share=1.0)
    blocks.fill(SHOTS)
    assert blocks.tokens > 640
    prefix = blocks.behind("input 9")
    assert len(prefix.tokens) < 640
    assert prefix.question("input 9", answer_tokens=8)


def test_blocks_too_large_for_the_context_are_refused() -> None:
    blocks = Blocks(partial(empty, random_llama(), 640), size=12)
    with pytest.raises(FitError, match="a block of 12 demonstrations and those it sees"):
        blocks.fill(SHOTS)
    assert not blocks.blocks  # told before anything is read


def test_blocks_whose_size_nobody_gave_are_halved_until_they_fit() -> None:
    blocks = Blocks(partial(empty, random_llama(), 640))
    ahead = blocks.ahead(SHOTS)
    assert blocks.fill(SHOTS) == ahead
    assert blocks.size < 12
    assert [one for block in blocks.blocks for one in block.examples] == SHOTS
    longer = [*SHOTS, Example("long " * 30, "answer 1")]
    blocks.fill(longer)
    assert [one for block in blocks.blocks for one in block.examples] == longer
    assert blocks.behind("input 9").question("input 9", answer_tokens=8)


def test_keys_and_values_that_would_not_fit_are_refused_after_the_first_block() -> None:
    model = random_llama()
    block = in_blocks(model, SHOTS[:3]).nbytes
    memory = mx.get_active_memory() + 4 * block
    blocks = Blocks(partial(empty, model, None, memory), size=3)
    with pytest.raises(FitError, match="are free"):
        blocks.fill(SHOTS)
    assert len(blocks.blocks) == 1


def test_blocks_that_are_whole_are_kept_when_reading_is_cancelled() -> None:
    model = random_llama()

    def stop(tokens: int) -> None:
        if tokens > 250:
            raise Cancelled("enough")

    blocks = Blocks(partial(empty, model), size=3)
    with pytest.raises(Cancelled):
        blocks.fill(SHOTS, stop)
    kept = len(blocks.blocks)
    assert 0 < kept < 8
    assert blocks.behind("input 9").is_filled
    assert blocks.fill(SHOTS) == sum(len(block.tokens) for block in blocks.blocks[kept:])
    expected = in_blocks(model)
    for one, other in zip(blocks.blocks, expected.blocks, strict=True):
        assert all(mx.array_equal(*pair).item() for pair in zip(one.keys, other.keys, strict=True))


def test_without_demonstrations_there_is_nothing_to_choose_from() -> None:
    with pytest.raises(DataError, match="no demonstrations"):
        Blocks(partial(empty, random_llama())).behind("a query")


def random_phi() -> Any:
    return tiny_model("phi")


@pytest.mark.parametrize(
    "make",
    [
        sliding_gemma,
        recurrent_lfm,
        partial(tiny_model, "llama+sliding"),
        partial(tiny_model, "phi"),
    ],
)
def test_models_whose_keys_cannot_be_moved_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(RunError, match="cannot read demonstrations in blocks") as caught:
        Blocks(partial(empty, make()))
    assert "llama, mistral, qwen2, qwen3" in caught.value.hint


def test_a_model_is_as_before_after_its_keys_were_recorded() -> None:
    model = random_llama()
    tokens, ropes = mx.array([[5, 6, 7]]), [one.rope for one in attentions(model)]
    expected = np.array(model(tokens))
    with suppress(KeyError), raw_keys(attentions(model)) as recorded:
        np.testing.assert_array_equal(np.array(model(tokens)), expected)
        assert [part.shape for one in recorded for part in one.parts] == [(1, 2, 3, 8)] * 2
        raise KeyError("failed half-way")
    assert [one.rope for one in attentions(model)] == ropes
    np.testing.assert_array_equal(np.array(model(tokens)), expected)
