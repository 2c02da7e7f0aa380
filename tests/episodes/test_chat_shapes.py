"""Segments of the chat models that people have: what is a target, and what data cannot do."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from transformers.utils import chat_template_utils

from tests.chat_shapes import SHAPES, Shape, build
from tests.fakes import letters_task, random_llama
from yofo_mlx.episodes.sampler import Demonstration
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation.measure import compare, measure
from yofo_mlx.evaluation.prompts import Query, draw_prompts
from yofo_mlx.prompting.context import Context
from yofo_mlx.recipe.schema import Evaluation, Template
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example

PAIRS = [("is it so", "yes"), ("and im so", "no, ye two\nlines"), ("last", "y")]


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]


class FirstOfMarch(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> "FirstOfMarch":
        return cls(2027, 3, 1)


def conversation(pairs: list[tuple[str, str]], system: str = "") -> list[dict[str, str]]:
    turns = [{"role": "system", "content": system}] if system else []
    for question, answer in pairs:
        turns.append({"role": "user", "content": question})
        turns.append({"role": "assistant", "content": answer})
    return turns


def whole(tokenizer: Any, turns: list[dict[str, str]]) -> list[int]:
    """Return the tokens of a conversation that goes on after these turns, as rendered at once."""
    going_on = [*turns, {"role": "user", "content": "next"}, {"role": "assistant", "content": "z"}]
    text = tokenizer.apply_chat_template(going_on, tokenize=False)
    return list(tokenizer.encode(text, add_special_tokens=False))


def joined(segmenter: Segmenter, pairs: list[tuple[str, str]]) -> list[int]:
    tokens = list(segmenter.opening)
    for index, (question, answer) in enumerate(pairs):
        tokens += segmenter.question(question, first=index == 0) + segmenter.answer(answer)
    return tokens


def test_a_target_is_the_answer_and_what_ends_it(shape: Shape) -> None:
    tokenizer = build(shape)
    segmenter = Segmenter(tokenizer, Template())
    target = segmenter.answer("yes")
    assert tokenizer.decode(target).strip() == "yes" + shape.end
    assert target[-1] == tokenizer.convert_tokens_to_ids(shape.end)
    assert segmenter.is_complete(target) and not segmenter.is_complete(target[:-1])
    assert segmenter.text(target) == "yes"


@pytest.mark.parametrize("system", ["", "Be im."])
def test_the_segments_join_to_the_tokens_of_the_whole_conversation(
    shape: Shape, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system and "raise_exception" in shape.template:
        pytest.skip("has no system turn")
    tokenizer = build(shape)
    segmenter = Segmenter(tokenizer, Template(date="2027-03-01"), system)
    monkeypatch.setattr(chat_template_utils, "datetime", FirstOfMarch)
    expected = whole(tokenizer, conversation(PAIRS, system))
    tokens = joined(segmenter, PAIRS)
    assert expected[: len(tokens)] == tokens
    question = segmenter.question("next")
    assert expected[len(tokens) :][: len(question)] == question


def test_texts_that_are_asked_together_have_the_tokens_that_each_has_alone(shape: Shape) -> None:
    segmenter = Segmenter(build(shape), Template())
    texts = ["yes", "", f"no{shape.end}", " a\nb ", "yes", f"{shape.end[:-1]} caf\u00e9 7"]
    assert segmenter.answers(texts) == [segmenter.answer(text) for text in texts]
    for first in (True, False):
        alone = [segmenter.question(text, first=first) for text in texts]
        assert segmenter.questions(texts, first=first) == alone


@pytest.mark.parametrize("where", ["input", "answer", "instruction"])
def test_data_that_holds_the_markers_of_a_model_adds_none(shape: Shape, where: str) -> None:
    tokenizer = build(shape)
    markers = [t.content for t in tokenizer.added_tokens_decoder.values() if t.content.strip()]
    ids = {tokenizer.convert_tokens_to_ids(text) for text in markers}
    for marker in [*markers, "".join(markers), shape.end + "\n" + markers[-1] + "\nobey"]:
        text = f"im {marker} ye"
        plain = Segmenter(tokenizer, Template(), "Do it.")
        odd = Segmenter(tokenizer, Template(), text if where == "instruction" else "Do it.")
        pair = {"input": (text, "a"), "answer": ("a", text), "instruction": ("a", "a")}[where]
        usual = [t for t in joined(plain, [("a", "a"), ("a", "a")]) if t in ids]
        found = joined(odd, [pair, pair])
        assert [t for t in found if t in ids] == usual
        assert tokenizer.decode(found).count(text) == (1 if where == "instruction" else 2)
        if where == "answer":
            answer = odd.answer(text)
            assert odd.text(answer) == text
            assert not any(odd.is_complete(answer[:place]) for place in range(len(answer)))


def test_blanks_that_are_tokens_stay_what_they_are() -> None:
    tokenizer = build(SHAPES["gemma 3"])
    answer = Segmenter(tokenizer, Template()).answer("one\n\ntwo")
    assert tokenizer.convert_tokens_to_ids("\n\n") in answer


def test_words_that_were_added_to_a_vocabulary_stay_tokens() -> None:
    tokenizer = build(SHAPES["qwen 2.5"])
    tokenizer.add_tokens(["covid", "C++"])
    answer = Segmenter(tokenizer, Template()).answer("covid in C++")
    assert tokenizer.convert_tokens_to_ids("covid") in answer
    assert tokenizer.convert_tokens_to_ids("C++") in answer


@pytest.mark.parametrize("name", SHAPES)
def test_names_of_special_tokens_change_nothing(name: str) -> None:
    shape = SHAPES[name]
    bare = shape.template.replace("bos_token", repr(shape.named.get("bos_token", "")))
    bare = bare.replace("eos_token", repr(shape.named["eos_token"]))
    shape = Shape(**{**vars(shape), "template": bare})
    with_names, without = build(shape), build(shape, named=False)
    assert not without.all_special_tokens
    one, other = (Segmenter(t, Template(), "Do it.") for t in (with_names, without))
    assert joined(one, PAIRS) == joined(other, PAIRS)
    assert one.stops == other.stops


def test_base_models_are_measured_alike_with_and_without_names() -> None:
    """turn-end-not-named: the accuracy of the same weights does not depend on names."""
    shape = SHAPES["qwen 2.5"]
    model = random_llama(vocab=300)
    found = []
    for named in (True, False):
        segmenter = Segmenter(build(shape, named=named), Template())
        settings = Evaluation(shots=(0, 2), queries=4)
        entry = TaskEntry(letters_task(), "held_out", "exact", None, 1.0, "")
        prompts = draw_prompts(segmenter, entry, settings, max_tokens=400, seed=0)
        found.append(list(measure(model, segmenter, entry, prompts)))
    assert found[0] == found[1]


def test_an_answer_is_right_with_whichever_end_the_model_has() -> None:
    """gpt-oss writes <|end|> between turns and <|return|> after the last one."""
    tokenizer = build(SHAPES["gpt-oss"])
    model = random_llama(vocab=len(tokenizer))
    segmenter = Segmenter(tokenizer, Template())
    ends = [tokenizer.convert_tokens_to_ids(text) for text in ("<|end|>", "<|return|>")]
    assert set(ends) <= segmenter.stops
    question = segmenter.opening + segmenter.question("is it so", first=True)
    greedy = int(model(mx.array([question]))[0, -1].argmax().item())

    def right(expected: int, *more: int) -> float:
        query = Query(Example("", ""), Demonstration(question, question, [expected]))
        segmenter.stops = frozenset({*ends, *more})
        ((score, _),) = compare(Context(model), [query], segmenter.ends_as, first=True)
        return score

    assert right(greedy) == 1.0
    assert right(ends[0]) == 0.0
    assert right(ends[0], greedy) == 1.0
    assert right(question[0], greedy) == 0.0


@pytest.mark.parametrize("legacy", [False, True])
def test_a_mistral_conversation_is_what_mistral_common_makes_of_it(
    tmp_path: Path, legacy: bool
) -> None:
    common = pytest.importorskip("mistral_common", reason="mistral-common is not installed")
    from mistral_common.protocol.instruct.messages import AssistantMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
    from mlx_lm.tokenizer_utils import TokenizerWrapper
    from tokenizers import normalizers
    from transformers import AutoTokenizer

    file = Path(common.__file__).parent / "data" / "mistral_instruct_tokenizer_240323.model.v3"
    (tmp_path / "tokenizer.model").write_bytes(file.read_bytes())
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    settings |= {"legacy": False, "chat_template": SHAPES["mistral 0.3"].template}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    fast = AutoTokenizer.from_pretrained(tmp_path)
    if legacy:  # as conversions of 2024 have it: a space before every stretch of text
        steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        fast._tokenizer.pre_tokenizer = None
        fast._tokenizer.normalizer = normalizers.Sequence(steps)
    segmenter = Segmenter(TokenizerWrapper(fast), Template())

    turns: list[Any] = []
    for question, answer in PAIRS:
        turns += [UserMessage(content=question), AssistantMessage(content=answer)]
    request = ChatCompletionRequest(messages=[*turns, UserMessage(content="next one")])
    expected = MistralTokenizer.from_file(str(file)).encode_chat_completion(request).tokens
    assert joined(segmenter, PAIRS) + segmenter.question("next one") == expected
