"""The embedded model: tokenizer, text generator, network, pre-training, suite, shipped weights."""

from itertools import islice
from pathlib import Path
from random import Random

import mlx.core as mx
import mlx.nn as nn
import mlx_lm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models import llama
from mlx_lm.tokenizer_utils import TokenizerWrapper
from tokenizers import Tokenizer

from tests.draws import draws
from tests.places import ROOT
from yofo_mlx.errors import DataError
from yofo_mlx.recipe.family import FAMILIES
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.registry import load_tasks
from yofo_mlx.tasks.suite import tasks as suite
from yofo_mlx.tasks.suite.vocabulary import NAMES, TOPICS, unknown, vocabulary
from yofo_mlx.tasks.task import Task
from yofo_mlx.tiny import documents
from yofo_mlx.tiny.network import Shape, cross_entropy, logits
from yofo_mlx.tiny.pretrain import Plan, piece_ids, pretrain, save, weighted_loss
from yofo_mlx.tiny.tokenizer import build_tokenizer
from yofo_mlx.tiny.wiring import initial_weights

MODEL = ROOT / "yofo_mlx" / "tiny" / "model"
MINUTE = Shape(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
TOKENIZER = build_tokenizer()
TRAIN, HELD_OUT = suite.tasks("train"), suite.tasks("held_out")


@pytest.fixture(scope="module")
def shipped() -> tuple[nn.Module, TokenizerWrapper]:
    model, tokenizer = mlx_lm.load(str(MODEL))[:2]
    return model, tokenizer


def encode(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False).ids


@draws(200)
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_survives_the_tokenizer(text: str) -> None:
    assert TOKENIZER.decode(encode(text), skip_special_tokens=False) == text


def test_words_are_one_token_with_and_without_a_space() -> None:
    for word in ("horse", " horse", " ->", " Anna", "Anna", " 17", "\n", " ?"):
        assert len(encode(word)) == 1, word


def test_segments_joined_decode_to_the_text_joined() -> None:
    segments = [
        segment
        for example in HELD_OUT[3].train[:20]
        for segment in (f"{example.input} ->", f" {example.output}\n")
    ]
    joined = [token for segment in segments for token in encode(segment)]
    assert TOKENIZER.decode(joined) == "".join(segments)
    assert joined == encode("".join(segments))


def test_documents_are_cut_as_the_tokenizer_cuts_their_text() -> None:
    random, ids = Random(0), piece_ids()
    for _ in range(50):
        pieces = [piece for piece, _ in documents.draw_document(random, 100)]
        assert encode("".join(pieces)) == [ids[piece] for piece in pieces]


def test_rows_depend_on_the_seed_alone() -> None:
    ids = piece_ids()
    first, again, other = (
        list(islice(documents.rows(seed, 64, ids), 5)) for seed in ("a", "a", "b")
    )
    assert first == again != other


def test_words_belong_to_one_topic_and_names_to_none() -> None:
    words = [word for topic in TOPICS.values() for word in topic]
    assert len(words + list(NAMES)) == len({*words, *NAMES})


def test_network_equals_mlx_lm() -> None:
    weights = initial_weights(MINUTE, seed=0)
    weights = {
        name: value + 0.05 * mx.random.normal(value.shape) for name, value in weights.items()
    }
    tokens = mx.random.randint(0, MINUTE.vocab_size, (3, 200))
    model = llama.Model(llama.ModelArgs.from_dict(MINUTE.config(1, 2)))
    model.load_weights(list(weights.items()))
    assert mx.allclose(logits(weights, MINUTE, tokens), model(tokens), atol=2e-2, rtol=2e-3)

    def reference(weights: dict[str, mx.array]) -> mx.array:
        model.update(tree_unflatten(list(weights.items())))
        chosen = mx.take_along_axis(model(tokens)[:, :-1], tokens[:, 1:, None], axis=-1)[..., 0]
        return (mx.logsumexp(model(tokens)[:, :-1], axis=-1) - chosen).sum()

    expected = mx.grad(reference)(weights)
    found = mx.grad(weighted_loss)(weights, MINUTE, tokens, mx.ones(tokens.shape))
    for name, value in expected.items():
        worst = (found[name] - value).abs().max() / value.abs().max()
        assert worst.item() < 5e-3, name


def test_cross_entropy_of_even_scores_is_the_log_of_the_vocabulary() -> None:
    losses = cross_entropy(mx.zeros((1, 4, 8)), mx.zeros((1, 4), dtype=mx.int32))
    assert mx.allclose(losses, mx.full((1, 4), 2.0794415), atol=1e-4)


def test_pretraining_lowers_the_loss_and_writes_a_loadable_model(tmp_path: Path) -> None:
    lines: list[str] = []
    plan = Plan(tokens=20 * 256, tokens_per_step=256)
    weights = pretrain(MINUTE, plan, lines.append)
    save(weights, MINUTE, tmp_path)
    model, _ = mlx_lm.load(str(tmp_path))[:2]
    assert float(lines[0].split("loss ")[1].split()[0]) < 7.0  # ln(1280) = 7.15
    assert tree_flatten(model.parameters())


def test_suite_is_a_function_of_its_arguments() -> None:
    assert suite.tasks("held_out") == HELD_OUT
    assert suite.tasks("held_out", seed=1) != suite.tasks("held_out", seed=2)


@pytest.mark.parametrize("tasks", [TRAIN, HELD_OUT], ids=["train", "held_out"])
def test_every_task_has_demonstrations_apart_from_its_queries(tasks: list[Task]) -> None:
    assert len({task.name for task in tasks}) == len(tasks)
    for task in tasks:
        shown = [example.input for example in task.train]
        asked = [example.input for example in task.test]
        assert len({*shown, *asked}) == len(shown) + len(asked)
        assert len(shown) > 64 and len(asked) >= 16 and task.family in FAMILIES


def test_held_out_tasks_share_no_word_or_label_with_training() -> None:
    known = {word for task in TRAIN for word in words_of(task)}
    topical = {word for words in TOPICS.values() for word in words} | set(NAMES)
    for task in HELD_OUT:
        assert not words_of(task) & known & topical, task.name


def test_held_out_mappings_are_never_trained() -> None:
    for mappings in (suite.patterns, suite.operations):
        assert not set(mappings("train")) & set(mappings("held_out"))
    trained = {task.name.rsplit("-", 1)[0] for task in TRAIN}
    assert not trained & {"spot", "last"}


def words_of(task: Task) -> set[str]:
    examples = (*task.train, *task.test)
    return {word for example in examples for word in f"{example.input} {example.output}".split()}


def test_shipped_model_is_small_and_fits_its_tokenizer() -> None:
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 4e6
    assert Tokenizer.from_file(str(MODEL / "tokenizer.json")).to_str() == TOKENIZER.to_str()


def test_shipped_model_generates(shipped: tuple[nn.Module, TokenizerWrapper]) -> None:
    model, tokenizer = shipped
    text = mlx_lm.generate(model, tokenizer, "horse cow: Anna; pear plum: Tom; pig: ", max_tokens=4)
    assert text


def test_shipped_model_continues_a_list_in_its_own_notation(
    shipped: tuple[nn.Module, TokenizerWrapper],
) -> None:
    model, tokenizer = shipped
    shown = " horse cow = Anna; pear plum = Tom;" * 3
    tokens = tokenizer.encode(f"{shown} horse cow =", add_special_tokens=False)
    assert tokenizer.decode([model(mx.array([tokens]))[0, -1].argmax().item()]) == " Anna"


@pytest.mark.parametrize("name", ["topic-07", "new-cipher-03", "new-last-00"])
def test_a_task_of_the_suite_is_a_source_of_its_own(name: str) -> None:
    [entry] = load_tasks([TaskSource(source=f"tiny:{name}")], 0, Path())
    assert entry.task == next(task for task in [*TRAIN, *HELD_OUT] if task.name == name)


@pytest.mark.parametrize("kind", ["themes", "new-spot"])
def test_a_kind_of_the_suite_is_a_source_of_all_its_tasks(kind: str) -> None:
    entries = load_tasks([TaskSource(source=f"tiny:{kind}")], 0, Path())
    wanted = [task for task in [*TRAIN, *HELD_OUT] if task.kind == kind]
    assert [entry.task for entry in entries] == wanted


@pytest.mark.parametrize("name", ["", "new-", "spot", "topic-40", "topic-7", "new-topic-00-0"])
def test_a_task_that_the_suite_lacks_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="unknown source") as refused:
        load_tasks([TaskSource(source=f"tiny:{name}")], 0, Path())
    assert "tiny:held_out" in refused.value.hint


def test_words_that_the_model_does_not_know_are_named_once_in_order() -> None:
    assert unknown(["lion, tiger -> Alice", "great film: 19 of 20 great"]) == [
        "great",
        "film",
        "20",
    ]


def test_the_suite_is_written_in_words_that_the_model_knows() -> None:
    examples = [example for task in [*TRAIN, *HELD_OUT] for example in task.train]
    assert unknown(text for one in examples for text in (one.input, one.output)) == []


def test_the_docs_list_every_word_that_the_model_knows() -> None:
    text = (ROOT / "docs" / "tiny.md").read_text()
    listed = set(text.partition("## The words it knows")[2].replace("|", " ").split())
    assert {word for word in vocabulary() if not word.isdigit()} <= listed
    assert f"these {len(vocabulary())} words" in text
