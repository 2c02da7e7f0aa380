"""Small GGUF files of random models, as llama.cpp's own converter lays them out."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize
from mlx.utils import tree_flatten, tree_unflatten
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from yofo_mlx.models.gguf.shape import MODULES

WIDTH = 256  # a block of the K kinds
VOCABULARY = 400
SHAPE: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "intermediate_size": WIDTH,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": WIDTH // 4,
    "rms_norm_eps": 1e-5,
    "rope_theta": 5000.0,
    "max_position_embeddings": 128,
}
TEXT = ["The quick brown fox, 42 dogs; don't stop!", "naïve café, Größe, ½ €", "数据 данные 🙂"]
NAMES = {here: name for name, here in MODULES.items()}


def byte_level(size: int = VOCABULARY) -> Tokenizer:
    """Return a small byte-level BPE that splits words as GPT-2 does, digits alone."""
    found = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|end|>", "<|begin|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator([*TEXT, *(f"word{i} the fox {i}" for i in range(50))], trainer)
    return found


def random_model(architecture: str, **changes: Any) -> Any:
    """Return a random model of mlx-lm's in float32, with norms and biases that any float holds."""
    from mlx_lm.utils import _get_classes

    config = SHAPE | {
        "model_type": architecture,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": True,
    }
    model_class, arguments = _get_classes(config)
    mx.random.seed(1)
    model = model_class(arguments.from_dict(config | changes))
    weights: Any = tree_flatten(model.parameters())
    drawn = [(name, mx.random.normal(weight.shape) * 0.1) for name, weight in weights]
    held = [(name, mx.round(one * 64) / 64 if one.ndim == 1 else one) for name, one in drawn]
    model.update(tree_unflatten(held))
    return model


class File:
    """A GGUF file to be: metadata and tensors that a test may change before it is written."""

    def __init__(self, architecture: str = "llama", kind: Kind = Kind.F32, **changes: Any) -> None:
        self.model = random_model(architecture, **changes)
        self.about = _about(architecture, self.model.args) | _tokens(byte_level())
        self.tensors: dict[str, tuple[np.ndarray[Any, Any], Kind]] = {}
        read = []
        weights: Any = tree_flatten(self.model.parameters())
        for name, weight in weights:
            heads = _heads(name, self.model.args) if architecture == "llama" else 0
            values = _pairs(np.array(weight), heads)
            own = kind if values.ndim > 1 else Kind.F32
            raw = _raw(values, own)
            self.tensors[_theirs(name)] = raw, own
            read.append((name, mx.array(_pairs(dequantize(raw, own), heads, back=True))))
        self.model.update(tree_unflatten(read))

    def write(self, path: Path) -> Path:
        """Write it."""
        writer = GGUFWriter(path, self.about["general.architecture"])
        for key, value in self.about.items():
            if key != "general.architecture":
                _add(writer, key, value)
        for name, (raw, kind) in self.tensors.items():
            writer.add_tensor(name, raw, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def _about(architecture: str, args: Any) -> dict[str, Any]:
    width = getattr(args, "head_dim", None) or WIDTH // 4
    own = {
        "block_count": args.num_hidden_layers,
        "context_length": args.max_position_embeddings,
        "embedding_length": args.hidden_size,
        "feed_forward_length": args.intermediate_size,
        "attention.head_count": args.num_attention_heads,
        "attention.head_count_kv": args.num_key_value_heads,
        "attention.key_length": width,
        "attention.value_length": width,
        "attention.layer_norm_rms_epsilon": args.rms_norm_eps,
        "rope.freq_base": args.rope_theta,
    }
    prefixed = {f"{architecture}.{key}": value for key, value in own.items()}
    return {"general.architecture": architecture, **prefixed}


def _tokens(words: Tokenizer) -> dict[str, Any]:
    vocabulary = sorted(words.get_vocab(), key=words.get_vocab().__getitem__)
    unused = [f"[{number}]" for number in range(len(vocabulary), VOCABULARY)]
    merges = json.loads(words.to_str())["model"]["merges"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": vocabulary + unused,
        "tokenizer.ggml.token_type": [
            *(3 if token.startswith("<|") else 1 for token in vocabulary),
            *[5] * len(unused),
        ],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.chat_template": "{{ messages[0]['content'] }}",
    }


def _theirs(name: str) -> str:
    module, _, part = name.rpartition(".")
    if module in NAMES:
        return f"{NAMES[module]}.{part}"
    number, _, own = module.removeprefix("model.layers.").partition(".")
    return f"blk.{number}.{NAMES[own]}.{part}"


def _heads(name: str, args: Any) -> int:
    both = {"q_proj": args.num_attention_heads, "k_proj": args.num_key_value_heads}
    return next((number for module, number in both.items() if f".{module}." in name), 0)


def _pairs(rows: np.ndarray[Any, Any], heads: int, *, back: bool = False) -> np.ndarray[Any, Any]:
    """Reorder the rows of each head: its two halves in turn, as llama.cpp rotates them."""
    if not heads:
        return rows
    apart = (-1, 2) if back else (2, -1)
    parts = rows.reshape(heads, *apart, *rows.shape[1:])
    return np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(rows.shape)


def _raw(values: np.ndarray[Any, Any], kind: Kind) -> np.ndarray[Any, Any]:
    """Return values in a kind; of those that the package cannot write, random blocks."""
    try:
        return quantize(values, kind)
    except NotImplementedError:
        block, nbytes = GGML_QUANT_SIZES[kind]
        shape = (values.shape[0], values.shape[1] // block, nbytes)
        raw = np.random.default_rng(values.size).integers(0, 256, shape, dtype=np.uint8)
        scales = np.array([1e-4, 2e-4], np.float16).view(np.uint8)
        if kind == Kind.Q6_K:
            raw[..., -2:] = scales[:2]
        else:
            raw[..., :4] = scales
        return raw.reshape(values.shape[0], -1)
