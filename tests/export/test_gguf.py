"""GGUF files that yofo writes: read back to the bit, by yofo and by the package gguf."""

import json
from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from tests.export.adapters import random_adapter
from tests.gguf_files import TEXT, File, Kind
from yofo_mlx.errors import RunError
from yofo_mlx.export.gguf_adapter import write_gguf_adapter
from yofo_mlx.export.gguf_model import check_model, write_gguf
from yofo_mlx.export.gguf_vocabulary import vocabulary_of
from yofo_mlx.models.base import Base, load_base, model_path
from yofo_mlx.models.gguf.directory import examine, import_gguf
from yofo_mlx.models.gguf.vocabulary import SPLITTINGS, Vocabulary
from yofo_mlx.models.gguf.vocabulary import tokenizer as as_tokenizer
from yofo_mlx.models.gguf.weights import Form, halves

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def directory(path: Path, architecture: str, kind: Kind = Kind.F32, **changes: Any) -> Base:
    """Return a random model with a tokenizer, as mlx-lm has it."""
    made = File(architecture, kind, **changes).write(path.with_suffix(".gguf"))
    import_gguf(made, path, Form(mx.float32) if kind == Kind.F32 else None)
    return load_base(str(path))


@pytest.mark.parametrize(
    ("architecture", "kind", "changes"),
    [
        ("llama", Kind.F32, {"attention_bias": True, "mlp_bias": True}),
        ("llama", Kind.BF16, {}),
        ("qwen2", Kind.F16, {}),
        ("qwen3", Kind.F32, {"tie_word_embeddings": False}),
    ],
)
def test_a_model_is_the_same_to_the_bit_when_it_is_read_back(
    tmp_path: Path, architecture: str, kind: Kind, changes: dict[str, Any]
) -> None:
    base = directory(tmp_path / "one", architecture, kind, **changes)
    check_model(base.config, base.tokenizer)
    write_gguf(base.path, base.tokenizer, "mine", tmp_path / "again.gguf")
    import_gguf(tmp_path / "again.gguf", tmp_path / "two")
    again = load_base(str(tmp_path / "two"))
    before: Any = dict(tree_flatten(base.model.parameters()))
    after: Any = dict(tree_flatten(again.model.parameters()))
    assert before.keys() == after.keys()
    assert all(mx.array_equal(before[name], after[name]) for name in before)
    assert {key: again.config.get(key) for key in base.config} == base.config
    assert [again.tokenizer.encode(one) for one in TEXT] == [base.tokenizer.encode(o) for o in TEXT]
    assert again.tokenizer.chat_template == base.tokenizer.chat_template
    read = gguf.GGUFReader(tmp_path / "again.gguf")
    assert read.fields["general.architecture"].contents() == architecture
    assert {str(Kind(one.tensor_type).name) for one in read.tensors} <= {kind.name, "F32"}


def test_llama_3_s_positions_are_factors_in_the_file(tmp_path: Path) -> None:
    base = directory(tmp_path / "one", "llama")
    config = base.config | {"rope_scaling": LLAMA3}
    (base.path / "config.json").write_text(json.dumps(config))
    write_gguf(base.path, base.tokenizer, "mine", tmp_path / "again.gguf")
    assert examine(tmp_path / "again.gguf").config["rope_scaling"] == LLAMA3
    for other in (LLAMA3 | {"low_freq_factor": 2.0}, {"rope_type": "dynamic", "factor": 2.0}):
        with pytest.raises(RunError, match="its positions are stretched by"):
            check_model(base.config | {"rope_scaling": other}, base.tokenizer)
    for kind in ("gemma3", "mamba", None):
        with pytest.raises(RunError, match="for the architecture"):
            check_model(base.config | {"model_type": kind}, base.tokenizer)
    sliding = {"layer_types": ["sliding_attention"] * 2, "sliding_window": 8}
    with pytest.raises(RunError, match="a window only"):
        check_model(base.config | sliding, base.tokenizer)


class Words:
    """What transformers says of a tokenizer, as far as an export asks."""

    def __init__(self, backend: Any, **named: int | None) -> None:
        self.backend_tokenizer, self.chat_template = backend, None
        parts = ("bos", "eos", "unk", "pad")
        for part in parts:
            setattr(self, f"{part}_token_id", named.get(part))


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "tekken", "qwen2"])
def test_how_a_tokenizer_splits_is_found_by_trying(pre: str) -> None:
    """A vocabulary in which each way to split shows: digits, words and marks of several letters."""
    letters = sorted(File().about["tokenizer.ggml.tokens"][2:258])
    merges = [["1", "2"], ["12", "3"], ["Ġ", "1"], ["'", "T"], ["D", "O"], ["DO", "N"], ["!", "!"]]
    merges += [["Ċ", "Ċ"], ["e", "Ì"], ["eÌ", "ģ"], ["Ã", "©"], ["a", "f"], ["x", "["], ["Ġ", "Ġ"]]
    merges += [["!!", "ĊĊ"], ["A", "Ì"], ["s", "Ġ"], ["3", "4"], ["I", "'"], ["'", "m"]]
    tokens = ["<s>", "</s>", *letters, *("".join(pair) for pair in merges)]
    about = {"model": "gpt2", "pre": pre, "merges": [" ".join(pair) for pair in merges]}
    about |= {"bos_token_id": 0, "eos_token_id": 1, "add_bos_token": True}
    backend = as_tokenizer(Vocabulary(tokens, [3, 3, *[1] * (len(tokens) - 2)], about))
    found = vocabulary_of(Words(backend, bos=0, eos=1), {"eos_token_id": [1, 0]}, len(tokens) + 2)
    assert SPLITTINGS[found["ggml.pre"]].pattern == SPLITTINGS[pre].pattern
    assert found["ggml.tokens"][-2:] == [f"[PAD{len(tokens)}]", f"[PAD{len(tokens) + 1}]"]
    assert found["ggml.token_type"][:3] == [3, 3, 1] and found["ggml.token_type"][-1] == 5
    assert (found["ggml.eos_token_id"], found["ggml.eot_token_id"]) == (1, 0)
    assert found["ggml.add_bos_token"] and not found["ggml.add_eos_token"]


def test_sentencepiece_is_written_with_scores(tmp_path: Path) -> None:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += ["▁", "a", "b", "c", "ab", "▁a", "abc", "▁ab", "▁abc", "bc"]
    scores = [0.0] * 263 + [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]
    about = {"model": "llama", "scores": scores, "bos_token_id": 1, "eos_token_id": 2}
    backend = as_tokenizer(Vocabulary(tokens, [2, 3, 3, *[6] * 256, *[1] * 10], about))
    found = vocabulary_of(Words(backend, bos=1, eos=2, unk=0), {"eos_token_id": 2}, len(tokens))
    assert found["ggml.model"] == "llama" and found["ggml.tokens"] == tokens
    assert found["ggml.token_type"] == [2, 3, 3, *[6] * 256, *[1] * 10]
    assert found["ggml.add_space_prefix"] and found["ggml.add_bos_token"]
    order = sorted(range(263, 269), key=lambda one: -found["ggml.scores"][one])
    assert order == [263, 264, 265, 266, 267, 268]


def test_a_tokenizer_that_llama_cpp_does_not_have_is_refused() -> None:
    base = load_base("tiny")
    with pytest.raises(RunError, match="of the kind Unigram, not BPE"):
        vocabulary_of(base.tokenizer, base.config, 1280)


def test_an_adapter_s_file_holds_the_update_of_each_weight(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    config = load_base("tiny").config
    write_gguf_adapter(adapter, config, tmp_path / "adapter.gguf")
    read = gguf.GGUFReader(tmp_path / "adapter.gguf")
    assert read.fields["general.type"].contents() == "adapter"
    assert read.fields["adapter.type"].contents() == "lora"
    alpha = read.fields["adapter.lora.alpha"].contents()
    found = {one.name: one.data for one in read.tensors}
    arrays = mx.load(str(adapter / "adapters.safetensors"))
    assert len(found) == len(arrays)
    for name, there, heads in (
        ("model.layers.4.mlp.up_proj", "blk.4.ffn_up.weight", 0),
        ("model.layers.0.self_attn.q_proj", "blk.0.attn_q.weight", 4),
        ("model.layers.1.self_attn.k_proj", "blk.1.attn_k.weight", 4),
        ("model.layers.1.self_attn.v_proj", "blk.1.attn_v.weight", 0),
    ):
        a, b = found[f"{there}.lora_a"], found[f"{there}.lora_b"]
        update = b @ a * alpha / a.shape[0]  # as llama.cpp computes it
        update = halves(update, heads) if heads else update
        ours = 4.0 * (arrays[f"{name}.lora_a"] @ arrays[f"{name}.lora_b"]).T
        np.testing.assert_allclose(update, np.array(ours), rtol=1e-4, atol=1e-6)


def test_an_adapter_that_llama_cpp_cannot_have_is_refused(tmp_path: Path) -> None:
    dora = random_adapter(tmp_path / "dora", fine_tune_type="dora", keys=("mlp.up_proj",))
    config = load_base("tiny").config
    with pytest.raises(RunError, match="knows LoRA, not DoRA"):
        write_gguf_adapter(dora, config, tmp_path / "x.gguf")
    with pytest.raises(RunError, match="for the architecture 'gemma3'"):
        write_gguf_adapter(dora, {"model_type": "gemma3"}, tmp_path / "x.gguf")
    assert not (tmp_path / "x.gguf").exists() and model_path("tiny").is_dir()
