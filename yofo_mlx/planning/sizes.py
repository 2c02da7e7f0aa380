"""The sizes of a model, from its `config.json` and the headers of its safetensors alone."""

import json
import math
import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError
from yofo_mlx.planning.headers import FLOATS, WEIGHTS, Tensor, read_headers
from yofo_mlx.recipe.schema import Lora

# Dense architectures, made of the parts of the random llamas that the forecast was fitted to
# (`benchmarks/forecast.py`); with any other it is careful.
FITTED = frozenset(
    "llama mistral mistral3 ministral3 qwen2 qwen3 phi3 gemma smollm3 granite starcoder2 glm4"
    " olmo2 seed_oss internlm2 internlm3 helium stablelm".split()
)
DEFAULT_BITS = 4  # mlx-lm's, where a table does not say
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


class WholeRows(IntEnum):
    """Where a model's own code computes whole rows of scores, each with what is before it."""

    NEVER = 0
    OUTSIDE = 1  # of training: in validations
    PLAIN = 2  # and in steps without chunks
    ALWAYS = 3


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model, in elements where the name does not say bytes."""

    architecture: str
    layers: int
    trained: int  # layers with an adapter, from the top
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int  # of the feed-forward units that one token runs through
    vocabulary: int
    item: int  # bytes of an activation
    weight_bytes: int
    parameters: int
    adapter_parameters: int
    context: int | None  # trained length
    own_attention: WholeRows = WholeRows.NEVER
    vectors: int = 1  # hidden vectors that a token has between layers
    lenders: int = 0  # layers whose keys and values later ones read, so that they are kept
    moments: int = 2  # numbers that the optimizer keeps of each of the adapter's
    fitted: bool = True  # a dense model of the kind that the forecast was fitted to


def model_sizes(
    path: Path, lora: Lora, *, item: int | None, tensors: dict[str, Tensor] | None = None
) -> Sizes:
    """Return the sizes of the model in a directory.

    `item`: bytes of a float once it is loaded, None: as it is stored.
    `tensors`: what its weights hold, where they are not in the directory.
    """
    if tensors is None:
        tensors = read_headers(path)
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        shape = sizes_of(config, tensors, lora, item=item)
    except (OSError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        if isinstance(error, RecipeError):
            raise
        raise _unknown(f"config.json of {path.name} has sizes of another form ({error})") from error
    if not tensors:
        raise _unknown(f"{path.name} has no {WEIGHTS}")
    return shape


def sizes_of(
    config: dict[str, Any], tensors: dict[str, Tensor], lora: Lora, *, item: int | None
) -> Sizes:
    """Return the sizes that a configuration and its tensors tell."""
    text = _with_defaults(config)
    hidden = _number(text, "hidden_size", "n_embd", "d_model", "dim")
    heads = _first(text, "num_attention_heads", "n_head", "n_heads") or 0
    layers = _number(text, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    trained = layers if lora.num_layers == -1 else min(lora.num_layers, layers)
    floats = [tensor.dtype for tensor in tensors.values() if tensor.dtype in FLOATS]
    stored = FLOATS[max(set(floats), key=floats.count)] if floats else 2
    latent = _latent_width(text)
    sizes = unpacked(tensors, config.get("quantization"))
    return Sizes(
        architecture=str(text.get("model_type") or "unknown"),
        layers=layers,
        trained=trained,
        hidden=hidden,
        heads=heads,
        kv_heads=1 if latent else _largest(text.get("num_key_value_heads")) or heads,
        head_dim=latent or _largest(text.get("head_dim")) or hidden // max(heads, 1),
        intermediate=_active_units(text, hidden),
        vocabulary=_number(text, "vocab_size"),
        item=item or stored,
        weight_bytes=sum(_loaded_bytes(tensor, item) for tensor in tensors.values()),
        parameters=sum(math.prod(size) for size in sizes.values()),
        adapter_parameters=sum(map(math.prod, adapter_shapes(config, lora).values()))
        or _estimated(sizes, lora, layers - trained),
        context=_first(text, "max_position_embeddings"),
        own_attention=_own_attention(text),
        vectors=_first(text, "altup_num_inputs") or 1 + _blocks_kept(text, layers),
        # One of each kind: of all tokens, and of a window.
        lenders=2 if _first(text, "num_kv_shared_layers", "num_kv_reuse_layers") else 0,
        fitted=text.get("model_type") in FITTED and not _has_windows(text),
    )


def _blocks_kept(text: dict[str, Any], layers: int) -> int:
    """Return of how many blocks of layers a token keeps a vector: Kimi K3."""
    size = _first(text, "attn_res_block_size")
    return -(-layers // size) if size else 0


def _own_attention(text: dict[str, Any]) -> WholeRows:
    if text.get("index_topk"):
        return WholeRows.ALWAYS
    if _latent_width(text):
        return WholeRows.PLAIN
    return WholeRows.OUTSIDE if text.get("attn_logit_softcapping") else WholeRows.NEVER


def _latent_width(text: dict[str, Any]) -> int:
    """Return the width in which queries meet latents and positions (`layer_cache.Latents`), or 0.

    Some models keep expanded keys and values instead, as any other attention.
    """
    if text.get("model_type") in ("deepseek_v2", "minicpm3", "youtu_llm", "mistral4"):
        return 0
    latent = _first(text, "kv_lora_rank") or 0
    return latent and latent + (_first(text, "qk_rope_head_dim") or 0)


def _has_windows(text: dict[str, Any]) -> bool:
    kinds = text.get("layer_types") or []
    return any(kind != "full_attention" for kind in kinds)


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """Return the text model's configuration with what mlx-lm fills in where it says nothing."""
    from mlx_lm.utils import _get_classes

    try:
        arguments = _get_classes(config)[1].from_dict(config)
    except Exception:  # mlx-lm says it better when it loads the model
        arguments = None
    known = {k: v for k, v in getattr(arguments, "__dict__", {}).items() if v is not None}
    if isinstance(config.get("text_config"), dict):
        inner = {"vocab_size": known.get("vocab_size")} | config["text_config"]
        return _with_defaults({k: v for k, v in inner.items() if v is not None})
    return config | known


def _first(config: dict[str, Any], *names: str) -> int | None:
    return next((int(config[n]) for n in names if isinstance(config.get(n), int)), None)


def _number(config: dict[str, Any], *names: str) -> int:
    found = _first(config, *names)
    if found is None:
        raise _unknown(f"config.json has no {names[0]}")
    return found


def _largest(value: Any) -> int:
    """Return a size; where each layer has its own, the largest."""
    return int(max(value) if isinstance(value, list) else value or 0)


def _unknown(what: str) -> RecipeError:
    return RecipeError(
        f"{what}, so memory cannot be forecast", "is this the directory of a language model?"
    )


def _active_units(text: dict[str, Any], hidden: int) -> int:
    experts = _largest(text.get("num_experts_per_tok") or text.get("experts_per_token"))
    if experts:
        width = text.get("moe_intermediate_size") or text.get("intermediate_size") or 4 * hidden
        shared = text.get("shared_expert_intermediate_size") or 0
        return experts * _largest(width) + _largest(shared)
    width = text.get("intermediate_size") or text.get("n_inner") or text.get("block_ff_dim")
    return _largest(width) or 4 * hidden


def _loaded_bytes(tensor: Tensor, item: int | None) -> int:
    if item and tensor.dtype in FLOATS:
        return math.prod(tensor.shape) * item
    return tensor.nbytes


def unpacked(tensors: dict[str, Tensor], quantization: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's weights as they were before they were quantized.

    `quantization` is config.json's: bits for all layers, and other ones for those that it names.
    What has no scales was left as it was.
    """
    table = quantization if isinstance(quantization, dict) else {}
    packed = {
        name.removesuffix(".scales")
        for name in tensors
        if name.endswith(".scales") and f"{name.removesuffix('.scales')}.weight" in tensors
    }
    result = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if module not in packed or part == "bias":
            result[name] = tensor.shape
        elif part == "weight":
            own = table.get(module)
            bits = (own if isinstance(own, dict) else table).get("bits") or DEFAULT_BITS
            result[name] = (*tensor.shape[:-1], tensor.shape[-1] * 32 // bits)
    return result


def adapter_shapes(config: dict[str, Any], lora: Lora) -> dict[str, tuple[int, ...]]:
    """Return the arrays of the adapter that mlx-lm puts on such a model, which is never computed.

    There are none where mlx-lm does not know the architecture.
    """
    from mlx.utils import tree_flatten
    from mlx_lm.utils import _get_classes

    from yofo_mlx.models.adapters import NoPlace, attach, check_kind

    try:
        model_class, arguments = _get_classes(config)
        model = model_class(arguments.from_dict(config))
        check_kind(model, lora)
        model.freeze()
        attach(model, lora)
        added: Any = tree_flatten(model.trainable_parameters())
    except NoPlace:
        raise
    except Exception:  # whatever a model's code makes of a configuration that lacks something
        return {}
    return {name: tuple(array.shape) for name, array in added}


def _estimated(sizes: dict[str, tuple[int, ...]], lora: Lora, first: int) -> int:
    """Count what an adapter adds if every matrix in blocks from `first` on is a linear layer."""
    total = 0
    for name, size in sizes.items():
        found = LAYER.search(name)
        if not found or int(found[1]) < first or not name.endswith(".weight"):
            continue
        key = name[found.end() :].removesuffix(".weight")
        if len(size) < 2 or (lora.keys and key not in lora.keys):
            continue
        if lora.fine_tune_type in ("ia3", "bitfit"):
            total += sum(size[-2:])  # more than either has
            continue
        *experts, outputs, inputs = size
        total += math.prod(experts) * lora.rank * (outputs + inputs)
        total += outputs if lora.fine_tune_type == "dora" else 0
    return total
