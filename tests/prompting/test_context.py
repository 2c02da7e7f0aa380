"""Reading, going back and answering: with plain, sliding-window and recurrent caches."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.generate import generate_step

from tests.fakes import CACHES, ByteTokenizer, random_llama, sliding_gemma
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import Cancelled, DataError, FitError
from yofo_mlx.prompting import context as context_module
from yofo_mlx.prompting import prefix as prefix_module
from yofo_mlx.prompting import scoring
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.generation import AnswerText, generate
from yofo_mlx.prompting.label_tree import score
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.task import Example

SHOTS = [Example(f"input {n}", f"answer {n % 3}") for n in range(8)]


class Tokenizer(ByteTokenizer):
    """The byte tokenizer with what mlx-lm's wrapper adds."""

    eos_token_ids = (257,)


@pytest.fixture(scope="module", params=CACHES)
def model(request: pytest.FixtureRequest) -> Any:
    made = CACHES[request.param]()
    mx.eval(made.parameters())
    return made


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_module, "CHUNK", 16)
    monkeypatch.setattr(scoring, "CHUNK", 16)
    monkeypatch.setattr(prefix_module, "LEAD", (3, 13))


def prefix_of(model: Any, shots: list[Example], limit: int | None = None) -> Prefix:
    prefix = Prefix(Context(model), Tokenizer(), Template(), limit)
    prefix.choose(shots, "")
    prefix.fill()
    return prefix


def answer_tokens(prefix: Prefix, query: str, count: int = 12) -> list[int]:
    """Return greedy tokens from the prefix, past any end."""
    tokens: list[int] = []
    with prefix.context.aside():
        question = prefix.question(query)
        prefix.context.read(question[:-1])
        steps = generate_step(
            mx.array(question[-1:]),
            prefix.context.model,
            max_tokens=count,
            prompt_cache=prefix.context.layers,
        )
        tokens = [int(token) for token, _ in steps]
    return tokens


def from_scratch(prefix: Prefix, query: str, count: int = 12) -> list[int]:
    """Return greedy tokens of mlx-lm itself on the whole prompt, without a cache of ours."""
    prompt = mx.array(prefix.tokens + prefix.question(query))
    steps = generate_step(prompt, prefix.context.model, max_tokens=count)
    return [int(token) for token, _ in steps]


def contents(context: Context) -> list[mx.array]:
    """Return copies of everything that the context holds of its tokens."""
    held = []
    for layer in context.layers:
        if type(layer).__name__ == "KVCache":
            held += [array[..., : layer.offset, :] for array in (layer.keys, layer.values)]
        else:
            held += [a for _, a in tree_flatten(layer.state) if isinstance(a, mx.array)]
    copies = [mx.array(array) for array in held]
    mx.eval(copies)
    return copies


def test_generation_with_a_reused_prefix_equals_generation_from_scratch(model: Any) -> None:
    prefix = prefix_of(model, SHOTS[:3])
    prefix.choose(SHOTS, "")
    prefix.fill()
    for query in ("input 9", "something else altogether"):
        assert answer_tokens(prefix, query) == from_scratch(prefix, query)


def test_a_query_leaves_the_prefix_unchanged(model: Any) -> None:
    prefix = prefix_of(model, SHOTS)
    before, tokens = contents(prefix.context), list(prefix.context.tokens)
    for query in ("input 9", "a long query " * 30):
        question = prefix.question(query)
        arguments = (prefix.context, prefix.segmenter)
        generate(*arguments, question, max_tokens=40)
        generate(*arguments, question, max_tokens=5, temperature=1.0)
        score(*arguments, question, ["answer 1", "a longer answer that goes on", "x"])
    after = contents(prefix.context)
    assert prefix.context.tokens == tokens
    assert len(after) == len(before)
    assert all(mx.array_equal(a, b).item() for a, b in zip(before, after, strict=True))
    assert answer_tokens(prefix, "input 9") == from_scratch(prefix, "input 9")


@pytest.mark.parametrize("copies", [1, 3])
def test_queries_that_start_from_a_context_leave_it_as_it_was(model: Any, copies: int) -> None:
    context = prefix_of(model, SHOTS).context
    before, tokens = contents(context), list(context.tokens)
    for kind in (KeyError, Cancelled):
        with suppress(kind), context.aside(copies) as rows:
            rows.logits(mx.array([[7, 8, 9]] * copies), mx.arange(2))
            one, *others = rows.logits(mx.array([[5]] * copies), mx.arange(copies))
            assert all(mx.allclose(one, other, atol=1e-5).item() for other in others)
            assert (rows is context) == (copies == 1)
            raise kind("enough")
        after = contents(context)
        assert context.tokens == tokens
        assert all(mx.array_equal(a, b).item() for a, b in zip(before, after, strict=True))


def test_answers_read_side_by_side_in_pieces_are_read_as_each_alone_and_whole(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = prefix_of(model, SHOTS).context
    lengths = [(1, 1), (40, 3), (5, 50), (17, 16), (16, 1)]  # of questions and answers
    draw = np.random.default_rng(0)
    asked = [tuple(draw.integers(0, 256, n).tolist() for n in pair) for pair in lengths]
    together = read_answers(context, asked, at_once=3)
    monkeypatch.setattr(scoring, "CHUNK", 10**6)
    for (question, answer), found in zip(asked, together, strict=True):
        (alone,) = read_answers(context, [(question, answer)])
        assert found.likeliest == alone.likeliest
        np.testing.assert_allclose(found.losses, alone.losses, atol=1e-4)
        logits = model(mx.array([context.tokens + question + answer]))[0, -len(answer) - 1 : -1]
        assert logits.argmax(axis=-1).tolist() == alone.likeliest
        expected = np.array(mx.logsumexp(logits, axis=-1))
        expected -= np.array(logits)[np.arange(len(answer)), answer]
        np.testing.assert_allclose(alone.losses, expected, atol=1e-3)


def test_the_likeliest_token_is_taken_also_where_half_precision_rounds() -> None:
    model = random_llama()
    model.set_dtype(mx.bfloat16)
    model.lm_head.weight *= 0.1  # logits that are close to each other
    prefix = prefix_of(model, SHOTS)
    question, likely = prefix.question("input 9"), []
    with prefix.context.aside() as context:
        context.read(question[:-1])
        while len(likely) < 20:
            logits = context.logits(mx.array([[(question + likely)[-1]]]), mx.array([0]))
            likely.append(int(logits.argmax().item()))
    answer = generate(prefix.context, prefix.segmenter, question, max_tokens=20)
    assert answer.text == prefix.segmenter.text(likely)


def test_a_cancelled_or_failed_query_leaves_the_prefix_unchanged(model: Any) -> None:
    prefix = prefix_of(model, SHOTS)
    expected = answer_tokens(prefix, "input 9")

    def stop_after(calls: int) -> Callable[[int], None]:
        left = iter(range(calls))

        def check(_: int) -> None:
            if next(left, None) is None:
                raise Cancelled("enough")

        return check

    for calls in (0, 1, 4):
        question = prefix.question("a long query " * 5)
        answer = generate(
            prefix.context,
            prefix.segmenter,
            question,
            max_tokens=20,
            on_chunk=stop_after(calls),
        )
        assert answer.finish == "cancelled"
        with pytest.raises(Cancelled):
            score(
                prefix.context,
                prefix.segmenter,
                question,
                ["a", "b"],
                stop_after(min(calls, 1)),  # short labels are soon compared
            )
    with pytest.raises(ZeroDivisionError):
        generate(
            prefix.context,
            prefix.segmenter,
            prefix.question("x"),
            max_tokens=20,
            on_chunk=lambda _: 1 // 0,
        )
    assert prefix.is_filled
    assert answer_tokens(prefix, "input 9") == expected


def test_adding_a_demonstration_reuses_the_longest_common_prefix(model: Any) -> None:
    prefix = prefix_of(model, SHOTS[:6])
    held = len(prefix.tokens)
    assert prefix.choose(SHOTS, "").tokens == held
    prefix.fill()
    assert answer_tokens(prefix, "q") == from_scratch(prefix, "q")


def test_removing_a_demonstration_reuses_what_comes_before_or_says_why_not(model: Any) -> None:
    prefix = prefix_of(model, SHOTS)
    reuse = prefix.choose(SHOTS[:2] + SHOTS[3:], "")
    if model.model_type == "llama":
        assert reuse.tokens >= len(prefix_of(model, SHOTS[:2]).tokens)
        assert not reuse.note
    else:
        assert reuse.tokens == 0
        assert "read again" in reuse.note
    prefix.fill()
    assert answer_tokens(prefix, "q") == from_scratch(prefix, "q")


def test_a_sliding_cache_is_cut_while_it_has_dropped_nothing() -> None:
    template = Template(input="{input}:", output="{output}\n")
    prefix = Prefix(Context(sliding_gemma()), Tokenizer(), template, None)
    prefix.choose([Example("a", "b"), Example("c", "d")], "")
    prefix.fill()
    assert len(prefix.tokens) < 24
    assert prefix.choose([Example("a", "b"), Example("e", "f")], "").tokens > 0
    prefix.fill()
    assert answer_tokens(prefix, "q") == from_scratch(prefix, "q")


def test_a_cancelled_reading_goes_on_where_it_stopped(model: Any) -> None:
    prefix = Prefix(Context(model), Tokenizer(), Template(), None)
    prefix.choose(SHOTS, "")

    def stop(done: int) -> None:
        if done >= 32:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        prefix.fill(stop)
    assert len(prefix.context.tokens) == 32
    seen: list[int] = []
    prefix.fill(seen.append)
    assert seen[0] == 32 + prefix_module.LEAD[0]
    assert prefix.is_filled
    assert answer_tokens(prefix, "q") == from_scratch(prefix, "q")


@pytest.mark.parametrize("calls", [0, 1, 6])
def test_a_reading_is_cancelled_within_a_slow_chunk_and_goes_on_from_before_it(
    model: Any, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_module, "PATIENCE", -1.0)  # as if each layer took long
    monkeypatch.setattr(context_module, "_FEW", 0)
    prefix = Prefix(Context(model), Tokenizer(), Template(), None)
    prefix.choose(SHOTS, "")
    left, seen = iter(range(calls)), [0]

    def stop(done: int) -> None:
        seen.append(done)
        if next(left, None) is None:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        prefix.fill(stop)
    assert len(prefix.context.tokens) == seen[-1]
    prefix.fill(seen.append)
    assert len(seen) > calls + len(model.layers)
    assert prefix.is_filled
    assert answer_tokens(prefix, "q") == from_scratch(prefix, "q")


class Failing:
    """A model that may fail after its layers have taken the tokens in."""

    def __init__(self, model: Any) -> None:
        self._model, self.fails = model, False

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        logits = self._model(*arguments, **options)
        if self.fails:
            raise RuntimeError("[malloc] Unable to allocate")
        return logits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


@pytest.mark.parametrize("query", ["x", "long " * 20])
def test_a_pass_that_fails_empties_the_context_rather_than_spoil_it(query: str) -> None:
    model = Failing(random_llama())
    prefix = prefix_of(model, SHOTS)
    question = prefix.question(query)
    arguments = (prefix.context, prefix.segmenter)
    for ask in (
        lambda: generate(*arguments, question, max_tokens=5),
        lambda: score(*arguments, question, ["a", "b"]),
    ):
        model.fails = True
        with pytest.raises(RuntimeError, match="malloc"):
            ask()
        model.fails = False
        assert prefix.context.tokens == []
        prefix.fill()
        assert prefix.is_filled
        assert answer_tokens(prefix, "q") == from_scratch(prefix, "q")


def test_demonstrations_that_exceed_the_memory_are_refused_after_one_chunk() -> None:
    prefix = prefix_of(random_llama(), SHOTS[:1])
    prefix.context.memory_limit = mx.get_active_memory() + 20_000
    with pytest.raises(FitError, match=r"need another [\d.]+ MB"):
        prefix.choose(SHOTS * 4, "")
        prefix.fill()
    assert len(prefix.context.tokens) < 100
    prefix.context.memory_limit = None
    prefix.fill()
    assert answer_tokens(prefix, "q") == from_scratch(prefix, "q")


def test_scores_are_the_log_probabilities_of_the_whole_answer(model: Any) -> None:
    prefix = prefix_of(model, SHOTS)
    question = prefix.question("input 9")
    labels = ["answer 1", "b", "answer", "b"]
    scores = score(prefix.context, prefix.segmenter, question, labels)
    assert {item.label for item in scores} == set(labels)
    assert len(scores) == 3
    assert [item.logprob for item in scores] == sorted((s.logprob for s in scores), reverse=True)
    for item in scores:
        answer = prefix.segmenter.answer(item.label)
        tokens = prefix.tokens + question + answer
        logits = model(mx.array([tokens[:-1]]))[0, -len(answer) :].astype(mx.float32)
        logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        expected = sum(float(logprobs[at, token]) for at, token in enumerate(answer))
        assert item.logprob == pytest.approx(expected, abs=1e-3)


def test_it_is_known_how_many_are_read_where_the_context_can_go_back_to_them() -> None:
    for name, make in CACHES.items():
        prefix = Prefix(Context(make()), Tokenizer(), Template(), None)
        assert prefix.shots_read == 0
        prefix.choose(SHOTS, "")
        prefix.context.read(prefix.tokens[:100])
        assert prefix.shots_read == (3 if name == "plain" else None)
        prefix.fill()
        assert prefix.shots_read == len(SHOTS)


def test_what_does_not_fit_is_left_out_and_counted() -> None:
    prefix = prefix_of(random_llama(), [SHOTS[0], Example("long " * 100, "x"), *SHOTS[1:]], 200)
    assert prefix.demonstrations == SHOTS[: len(prefix.demonstrations)]
    assert prefix.left_out == 9 - len(prefix.demonstrations) > 1
    assert len(prefix.tokens) <= 200 - 25


def test_a_query_or_instruction_that_does_not_fit_is_refused() -> None:
    prefix = prefix_of(random_llama(), SHOTS[:2], 200)
    with pytest.raises(FitError, match="do not fit"):
        prefix.question("long " * 40)
    with pytest.raises(FitError, match="instruction"):
        prefix.choose(SHOTS[:2], "long " * 40)
    with pytest.raises(DataError, match="empty"):
        prefix.question("  ")
    assert prefix.is_filled
    assert prefix.question("short")


def streamed(template: Template, text: str) -> tuple[list[str], str]:
    """Return the pieces of an answer that a model writes byte by byte, and the whole."""
    answer = AnswerText(Segmenter(Tokenizer(), template))
    pieces = []
    for token in text.encode():
        pieces.append(answer.add(token))
        if answer.is_complete:
            break
    whole, rest = answer.finish()
    return [*pieces, rest], whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" word\n\nInput: x", "word"),
        (" two lines\nhere\n\n", "two lines\nhere"),
        (" naïve 日本 🙂\n\n", "naïve 日本 🙂"),
        (" cut 日"[:-1] + "", "cut"),
        ("\n\n", ""),
        ("  spaced  out  \n\n", "spaced  out"),
    ],
)
def test_streamed_pieces_are_whole_characters_and_join_to_the_answer(
    text: str, expected: str
) -> None:
    pieces, whole = streamed(Template(), text)
    assert "".join(pieces) == whole == expected
    assert not any("\ufffd" in piece for piece in pieces)


def test_the_beginning_of_the_answers_end_is_held_back() -> None:
    template = Template(output=" {output} ###\n")
    pieces, whole = streamed(template, " a # b ###\nrest")
    assert "".join(pieces) == whole == "a # b"
    pieces, whole = streamed(template, " a ##")
    assert "".join(pieces) == whole == "a ##"


def test_the_special_token_that_ends_a_turn_is_not_shown() -> None:
    tokenizer = Tokenizer(chat=True)
    answer = AnswerText(Segmenter(tokenizer, Template()))
    pieces = [answer.add(token) for token in b"yes < |end|>"]
    assert not answer.is_complete
    pieces.append(answer.add(tokenizer.encode("<|end|>", add_special_tokens=False)[0]))
    assert answer.is_complete
    assert "".join([*pieces, answer.finish()[1]]) == "yes < |end|>"


def test_a_context_without_a_single_token_answers_and_stays_empty(model: Any) -> None:
    tokenizer = Tokenizer()
    tokenizer.bos_token = None
    prefix = Prefix(Context(model), tokenizer, Template(), None)
    assert prefix.tokens == []
    question = prefix.question("x")
    arguments = (prefix.context, prefix.segmenter, question)
    first, again = (generate(*arguments, max_tokens=6).text for _ in range(2))
    assert first == again
    assert prefix.context.tokens == []
    prefix.choose(SHOTS, "")
    prefix.fill()
    assert answer_tokens(prefix, "q") == from_scratch(prefix, "q")


def test_an_answer_cut_inside_a_character_ends_before_it() -> None:
    answer = AnswerText(Segmenter(Tokenizer(), Template()))
    pieces = [answer.add(token) for token in " ab🙂".encode()[:-1]]
    whole, rest = answer.finish()
    assert "".join([*pieces, rest]) == whole == "ab"
