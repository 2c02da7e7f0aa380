"""What a GGUF file's metadata and tensor names are called in mlx-lm's configuration and weights."""

import math
import re
from typing import Any

import numpy as np
from mlx.utils import tree_flatten

from yofo_mlx.errors import RecipeError
from yofo_mlx.models.gguf.header import Header
from yofo_mlx.system.text import shorten

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
SIZES = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
}
FRACTIONS = ("rms_norm_eps", "rope_theta")  # of these; the others are whole numbers
WIDTHS = ("attention.key_length", "attention.value_length", "rope.dimension_count")
SCALING = ("type", "factor", "original_context_length", "finetuned")
UNDERSTOOD = frozenset(
    (*SIZES.values(), *WIDTHS, "vocab_size", *(f"rope.scaling.{key}" for key in SCALING))
)
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
ROPE_FACTORS = "rope_freqs.weight"
MODULES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NAME = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)")


def configuration(header: Header) -> dict[str, Any]:
    """Return config.json; a file that mlx-lm's model would compute otherwise is refused."""
    known = header.architecture
    if known not in ARCHITECTURES:
        raise RecipeError(
            f"{header.path}: yofo does not read GGUF files of the architecture {known!r}",
            f"it reads {', '.join(ARCHITECTURES)}: look for the model as safetensors",
        )
    _refuse_parts(header)
    config = _configuration(header)
    _check_names(header, config)
    return config


def modules(header: Header) -> dict[str, str]:
    """Return by the name of each tensor what mlx-lm calls it."""
    names = {name: _renamed(name) for name in header.tensors if name != ROPE_FACTORS}
    if unknown := [name for name, here in names.items() if here is None]:
        raise _refused(header, f"it holds {unknown[0]}, which yofo has no place for")
    return {name: here for name, here in names.items() if here}


def rotated_heads(header: Header, config: dict[str, Any]) -> dict[str, int]:
    """Return the number of heads by the modules whose rows llama.cpp keeps in another order."""
    if header.architecture != "llama":
        return {}
    heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}
    return {f"self_attn.{letter}_proj": number for letter, number in heads.items()}


def _configuration(header: Header) -> dict[str, Any]:
    is_llama = header.architecture == "llama"
    about = _own(header)
    about.setdefault("attention.head_count_kv", about["attention.head_count"])
    about.setdefault("rope.freq_base", 10000.0)  # llama.cpp's, too
    usual = about["embedding_length"] // about["attention.head_count"]
    width = about.get("attention.key_length", usual)
    for name in ("rope.dimension_count", "attention.value_length"):
        if about.get(name, width) != width:
            raise _refused(header, f"its {name} is {about[name]}, its heads are {width} wide")
    scaling = _rope_scaling(header, about, width)
    return {
        "architectures": [ARCHITECTURES[header.architecture]],
        "model_type": header.architecture,
        **{key: _number(header, about, key) for key in SIZES},
        **({} if is_llama and width == usual else {"head_dim": width}),
        **(dict.fromkeys(_biases(header), True) if is_llama else {}),
        **({"rope_scaling": scaling} if scaling else {}),
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "tie_word_embeddings": "output.weight" not in header.tensors,
    }


def _own(header: Header) -> dict[str, Any]:
    """Return the metadata of the architecture, all of which yofo has to know: none is ignored."""
    prefix = f"{header.architecture}."
    about = {
        key.removeprefix(prefix): value
        for key, value in header.about.items()
        if key.startswith(prefix)
    }
    window = about.pop("attention.sliding_window", 0)
    if window and window < about["context_length"]:
        raise _refused(header, f"its attention.sliding_window is {window}")
    for key, value in about.items():
        if key not in UNDERSTOOD and value not in (0, False, "none"):
            raise _refused(header, f"yofo does not know what {prefix}{key} = {value!r} asks for")
    return about


def _number(header: Header, about: dict[str, Any], key: str) -> int | float:
    """Return a size that a model can have."""
    name, kinds = SIZES[key], (int, float) if key in FRACTIONS else (int,)
    value = about[name]
    if type(value) not in kinds or not 0 < value < math.inf:
        raise _refused(header, f"its {name} is {shorten(repr(value), 60)}")
    return float(value) if key in FRACTIONS else int(value)


def _biases(header: Header) -> list[str]:
    """Return which kinds of biases a llama has, by mlx-lm's name."""
    names = {name.rpartition("blk.")[2].partition(".")[2] for name in header.tensors}
    kinds = {"attention_bias": "attn_output.bias", "mlp_bias": "ffn_down.bias"}
    return [key for key, name in kinds.items() if name in names]


def _rope_scaling(header: Header, about: dict[str, Any], width: int) -> dict[str, Any] | None:
    """Return how positions are stretched, for mlx-lm."""
    kind = about.get("rope.scaling.type", "none")
    if ROPE_FACTORS in header.tensors:
        if kind != "none":
            raise _refused(header, f"it has both {ROPE_FACTORS} and rope scaling {kind!r}")
        return _llama3_scaling(header, about["rope.freq_base"], width)
    if kind not in ("none", "linear", "yarn"):
        raise _refused(header, f"yofo does not know the rope scaling {kind!r}")
    if kind == "none":
        return None
    found = {"rope_type": kind, "factor": about["rope.scaling.factor"]}
    if kind == "yarn":
        found["original_max_position_embeddings"] = about["rope.scaling.original_context_length"]
    return found


def _llama3_scaling(header: Header, base: float, width: int) -> dict[str, Any] | None:
    """Return the settings of Llama 3.1's stretched positions that give the factors in the file."""
    with header.path.open("rb") as stream:
        found = header.read(stream, ROPE_FACTORS).view(np.float32).ravel()
    factor = float(found.max())
    if (found == 1).all():
        return None
    if found.shape != (width // 2,) or not np.allclose(
        found, llama3_factors(base, width, factor), rtol=1e-3
    ):
        raise _refused(header, f"its {ROPE_FACTORS} are not those of a Llama 3")
    return {"rope_type": "llama3", "factor": factor, **LLAMA3}


def llama3_factors(base: float, width: int, factor: float) -> np.ndarray[Any, Any]:
    """Return what each wave's length is multiplied by in Llama 3.1 and later."""
    length = LLAMA3["original_max_position_embeddings"]
    low, high = LLAMA3["low_freq_factor"], LLAMA3["high_freq_factor"]
    turns = length / (2 * math.pi * base ** (np.arange(0, width, 2) / width))
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return np.asarray(1 / ((1 - smooth) / factor + smooth))


def _refuse_parts(header: Header) -> None:
    kind = header.about.get("general.type", "model")
    if kind != "model":
        raise _refused(header, f"it is of the type {kind!r}, not a model")
    template = header.about.get("tokenizer.chat_template", "")
    if not isinstance(template, str):
        raise _refused(header, "its chat template is no text")
    if header.about.get("split.count", 1) > 1:
        raise RecipeError(
            f"{header.path} is one of {header.about['split.count']} parts of a model",
            "join them first: `llama-gguf-split --merge FIRST-PART OUT.gguf`",
        )


def _check_names(header: Header, config: dict[str, Any]) -> None:
    """Refuse a file whose tensors are not those of the model that its metadata describe."""
    names = modules(header)
    layers = {match[1] for name in names if (match := NAME.fullmatch(name)) and match[1]}
    if len(layers) != config["num_hidden_layers"]:  # before a model of that many is made
        raise _refused(header, f"it says {config['num_hidden_layers']} blocks, has {len(layers)}")
    found = {here: header.tensors[name].shape for name, here in names.items()}
    expected = _shapes(config)
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            raise _refused(header, f"it lacks {name}")
        if found[name] != expected.get(name):
            wanted = expected.get(name, "none")
            raise _refused(header, f"its {name} is {found[name]}, the model has {wanted}")


def _shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights that mlx-lm wants; nothing is computed."""
    from mlx_lm.utils import _get_classes

    model, arguments = _get_classes(config)
    weights: Any = tree_flatten(model(arguments.from_dict(config)).parameters())
    return {name: array.shape for name, array in weights}


def _renamed(name: str) -> str | None:
    match = NAME.fullmatch(name)
    if match is None or match[2] not in MODULES:
        return None
    layer = f"model.layers.{match[1]}." if match[1] else ""
    return f"{layer}{MODULES[match[2]]}.{match[3]}"


def _refused(header: Header, wrong: str) -> RecipeError:
    return RecipeError(f"{header.path}: {wrong}", "look for the model as safetensors")
