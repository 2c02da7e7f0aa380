"""GGUF files as base models: the same logits, the same tokens, or two lines that say why not."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import sentencepiece
from gguf import GGMLQuantizationType as Kind
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model
from tokenizers import Tokenizer
from transformers import GPT2Tokenizer
from transformers.integrations.gguf.gguf_tokenizer_mapping import set_split_regex

from tests.gguf_files import File, byte_level
from yofo_mlx.models.base import load_base
from yofo_mlx.models.gguf import directory
from yofo_mlx.models.gguf.directory import import_gguf
from yofo_mlx.models.gguf.vocabulary import Vocabulary, tokenizer
from yofo_mlx.models.gguf.weights import Form
from yofo_mlx.models.tokenizer import SAMPLES
from yofo_mlx.system import paths

TOKENS = mx.array([[3, 200, 17, 399, 64, 5]])
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def imported(file: File, folder: Path, form: Form | None = None) -> Path:
    import_gguf(file.write(folder / "model.gguf"), folder / "out", form)
    return folder / "out"


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": False, "num_key_value_heads": 4}),
        ("llama", {"attention_bias": True, "mlp_bias": True, "head_dim": 32}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 128, "tie_word_embeddings": False}),
    ],
)
def test_an_imported_model_has_the_logits_of_the_original(
    architecture: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    file = File(architecture, **changes)
    model = load_base(str(imported(file, tmp_path))).model
    assert mx.array_equal(model(TOKENS), file.model(TOKENS)).item()


@pytest.mark.parametrize("kind", "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K".split())
def test_each_quantization_is_undone(kind: str, tmp_path: Path) -> None:
    file = File("llama", Kind[kind], num_hidden_layers=1)
    model = load_base(str(imported(file, tmp_path))).model
    assert mx.array_equal(model(TOKENS), file.model(TOKENS)).item()


@pytest.mark.parametrize("kind", "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K".split())
def test_where_quantized_weights_are_fast_they_stay_quantized(kind: str, tmp_path: Path) -> None:
    file = File("llama", Kind[kind], num_hidden_layers=1)
    out = imported(file, tmp_path, Form(mx.float16, packed=True))
    model, config = load_model(out)
    bits = int(kind[1])
    assert config["quantization"] == {"group_size": 32, "bits": bits}
    found = model.model.layers[0].self_attn.q_proj
    values = mx.dequantize(
        found.weight,
        found.scales.astype(mx.float32),
        found.biases.astype(mx.float32),
        group_size=32,
        bits=bits,
    )
    expected = np.array(file.model.model.layers[0].self_attn.q_proj.weight)
    # The scales of the K kinds are products of two numbers, here rounded to float16.
    tolerance = 2**-10 * np.abs(expected).max() if kind.endswith("K") else 0
    np.testing.assert_allclose(np.array(values), expected, rtol=0, atol=tolerance)


def test_kinds_are_mixed_in_one_file(tmp_path: Path) -> None:
    file, other = File("qwen2", Kind.Q4_0), File("qwen2", Kind.Q6_K)
    file.tensors["token_embd.weight"] = other.tensors["token_embd.weight"]
    file.model.model.embed_tokens = other.model.model.embed_tokens
    model, config = load_model(imported(file, tmp_path, Form(mx.float16, packed=True)))
    assert config["quantization"] == {"group_size": 32, "bits": 4}
    assert dict(tree_flatten(model.parameters()))["model.embed_tokens.weight"].dtype == mx.float16
    model.set_dtype(mx.float32)
    np.testing.assert_allclose(
        np.array(model(TOKENS)), np.array(file.model(TOKENS)), rtol=0, atol=2e-3
    )


@pytest.mark.parametrize(
    ("scaling", "about"),
    [
        ({"rope_type": "linear", "factor": 4.0}, {"type": "linear", "factor": 4.0}),
        (
            YARN,
            {"type": "yarn", "factor": 4.0, "original_context_length": 64},
        ),
    ],
)
def test_stretched_positions_are_taken_over(
    scaling: dict[str, Any], about: dict[str, Any], tmp_path: Path
) -> None:
    file = File("llama", rope_scaling=scaling)
    file.about |= {f"llama.rope.scaling.{key}": value for key, value in about.items()}
    model = load_base(str(imported(file, tmp_path))).model
    assert mx.array_equal(model(TOKENS), file.model(TOKENS)).item()


def test_the_positions_of_llama_3_are_known_by_their_factors(tmp_path: Path) -> None:
    file = File("llama", rope_scaling=LLAMA3_ROPE, rope_theta=500000.0)
    plain = 500000.0 ** (np.arange(0, 64, 2) / 64)
    stretched = np.array(file.model.model.layers[0].self_attn.rope._freqs)
    file.tensors["rope_freqs.weight"] = (stretched / plain).astype(np.float32), Kind.F32
    out = imported(file, tmp_path)
    assert json.loads((out / "config.json").read_text())["rope_scaling"] == LLAMA3_ROPE
    assert mx.array_equal(load_base(str(out)).model(TOKENS), file.model(TOKENS)).item()


def test_an_imported_tokenizer_is_the_original(tmp_path: Path) -> None:
    out = imported(File(), tmp_path)
    base, words = load_base(str(out)), byte_level()
    text = "<|begin|>the quick fox  42 dogs\n\ndon't naïve 数 🙂<|end|>"
    assert base.tokenizer.encode(text) == words.encode(text).ids
    assert base.tokenizer.decode(base.tokenizer.encode(text)) == text
    assert (base.tokenizer.eos_token, base.tokenizer.bos_token) == ("<|end|>", "<|begin|>")
    assert base.tokenizer.chat_template == "{{ messages[0]['content'] }}"


@pytest.mark.parametrize("begins", [True, False])
def test_the_first_token_is_added_as_the_file_says(begins: bool, tmp_path: Path) -> None:
    file = File()
    file.about["tokenizer.ggml.add_bos_token"] = begins
    tokenizer = load_base(str(imported(file, tmp_path))).tokenizer
    assert (tokenizer.encode("fox")[0] == 1) is begins
    assert tokenizer.encode("fox").count(1) == int(begins)


def vocabulary_of(pre: str) -> Vocabulary:
    return Vocabulary([], [], {"model": "gpt2", "pre": pre, "merges": []})


@pytest.mark.parametrize("pre", ["llama-bpe", "llama3", "smaug-bpe", "tekken", "qwen2"])
def test_words_are_split_as_transformers_splits_them(pre: str) -> None:
    theirs = GPT2Tokenizer(vocab={}, merges=[])
    set_split_regex(theirs, {"pre_tokenizer_type": pre})
    split = tokenizer(vocabulary_of(pre)).pre_tokenizer.pre_tokenize_str
    for text in [*SAMPLES, "DON'T a/b//c\n/d 12345 camelCaseXML ÀÉÎ हिन्दी  x\r\n\n y"]:
        assert split(text) == theirs.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)


def test_digits_stand_alone_where_the_model_learnt_them_so() -> None:
    split = tokenizer(vocabulary_of("smollm")).pre_tokenizer.pre_tokenize_str
    assert [word for word, _ in split("in 2024, 3")] == "in Ġ 2 0 2 4 , Ġ 3".split()


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Tokenizer]:
    """Return a SentencePiece model, and the tokenizer that is made of what a GGUF keeps of it."""
    folder = tmp_path_factory.mktemp("scored")
    (folder / "text.txt").write_text(
        "\n".join([*SAMPLES * 20, *(f"word{i} fox" for i in range(99))])
    )
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=420,
        model_type="bpe",
        byte_fallback=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    pieces = [model.id_to_piece(number) for number in range(model.get_piece_size())]
    kinds = {"<unk>": 2, "<s>": 3, "</s>": 3}
    types = [
        6 if model.is_byte(number) else kinds.get(piece, 1) for number, piece in enumerate(pieces)
    ]
    scores = [model.get_score(number) for number in range(len(pieces))]
    return model, tokenizer(Vocabulary(pieces, types, {"model": "llama", "scores": scores}))


@given(st.text() | st.text("the quick fox 42, dogs wor\n\té", max_size=40))
@example("  two blanks lead")
@settings(max_examples=100)
def test_a_vocabulary_with_scores_splits_as_sentencepiece(
    scored: tuple[Any, Tokenizer], text: str
) -> None:
    model, words = scored
    text = text.replace("\0", "").replace("▁", "")  # it takes the one for the end, one for a blank
    assert words.encode(text).ids[1:] == model.encode(text)
    assert words.encode(text).ids[0] == 1
    assert words.decode(words.encode(text).ids) == text


def test_a_recipe_takes_a_file_and_converts_it_once(
    tmp_path: Path, yofo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    File().write(tmp_path / "mine" / "small.gguf")
    (tmp_path / "mine" / "rows.jsonl").write_text('{"input": "a", "output": "b"}\n' * 40)
    (tmp_path / "mine" / "recipe.toml").write_text(
        'model = "small.gguf"\nepisodes = { max_tokens = 100 }\ntemplate = { style = "plain" }\n'
        'lora = { num_layers = 1 }\ntrain = { steps = 1 }\n[[tasks]]\nsource = "rows.jsonl"\n'
    )
    monkeypatch.chdir(tmp_path)
    code, out, err = yofo("plan", "mine/recipe.toml", "--json")
    assert code == 0 and err.count("is converted") == 1, err
    assert json.loads(out)["model"] == str(tmp_path / "mine" / "small.gguf")
    code, out, err = yofo("plan", "mine/recipe.toml", "--json")
    assert code == 0 and "converted" not in err
    with monkeypatch.context() as patched:  # a large file is not read again for another name of it
        patched.delattr(directory, "digest")
        assert yofo("models", "import", "mine/../mine/small.gguf")[0] == 0
    (tmp_path / "mine" / "small.gguf").rename(tmp_path / "moved.gguf")
    code, out, err = yofo("models", "import", "moved.gguf")
    assert code == 0 and "converted" not in err  # it is known by its content
    assert Path(out.strip()).parent == paths.models()
    code, _, err = yofo("plan", "mine/recipe.toml")
    assert code == 2 and "there is no model" in err


def test_a_run_goes_on_from_what_was_made_of_a_file_that_is_gone(tmp_path: Path, yofo: Any) -> None:
    file = File(num_hidden_layers=1).write(tmp_path / "small.gguf")
    (tmp_path / "rows.jsonl").write_text('{"input": "a", "output": "b"}\n' * 40)
    (tmp_path / "recipe.toml").write_text(
        'model = "small.gguf"\nepisodes = { max_tokens = 40 }\ntemplate = { style = "plain" }\n'
        "lora = { num_layers = 1, rank = 2 }\ntrain = { steps = 1 }\n"
        '[[tasks]]\nsource = "rows.jsonl"\n'
    )
    code, _, err = yofo("train", tmp_path / "recipe.toml")
    assert code == 0, err
    file.unlink()
    code, _, err = yofo("resume", "last", "--set", "train.steps=2")
    assert code == 0, err
    code, out, _ = yofo("runs", "last", "--json")
    base = json.loads(out)["base"]
    assert (base["name"], base["there"]) == (str(file), True)
    shutil.rmtree(paths.models())
    for is_there in (False, True):
        code, out, _ = yofo("runs", "last", "--json")
        assert json.loads(out)["base"]["there"] is is_there
        File(num_hidden_layers=1).write(file)


@pytest.mark.long
@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {}),
        ("llama", {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
        ("llama", {"rope_scaling": YARN}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 128}),
    ],
)
def test_llama_cpp_computes_the_same(
    architecture: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    file = File(architecture, **changes)
    scaling = changes.get("rope_scaling", {})
    theirs = {"rope_type": "type", "original_max_position_embeddings": "original_context_length"}
    file.about |= {
        f"llama.rope.scaling.{theirs.get(key, key)}": value for key, value in scaling.items()
    }
    model = load_base(str(imported(file, tmp_path))).model
    reader = llama_cpp.Llama(
        str(tmp_path / "model.gguf"), logits_all=True, verbose=False, type_k=0, type_v=0, n_ctx=128
    )
    ids = [int(number) for number in np.random.default_rng(0).integers(0, 400, 100)]
    reader.eval(ids)
    found = np.array(model(mx.array([ids]))[0])
    np.testing.assert_allclose(found, np.array(reader.scores[: len(ids)]), atol=2e-4)
