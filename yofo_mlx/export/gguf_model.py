"""A fused model as a GGUF file: what models/gguf reads, written.

mlx-lm's own converter writes files that today's llama.cpp refuses: the types of tokens as unsigned
numbers, and every vocabulary as SentencePiece's.
"""

from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np
from gguf import GGMLQuantizationType as Kind
from mlx_lm.utils import _get_classes

from yofo_mlx.errors import RunError
from yofo_mlx.export.gguf_names import Array, architecture, module_name, pairs, rotated_heads
from yofo_mlx.export.gguf_vocabulary import vocabulary_of
from yofo_mlx.models.base import model_config
from yofo_mlx.models.gguf.directory import examine
from yofo_mlx.models.gguf.shape import FRACTIONS, LLAMA3, ROPE_FACTORS, SIZES, llama3_factors
from yofo_mlx.system.arrays import load_arrays
from yofo_mlx.system.files import why_not_written

KINDS = {mx.float32: Kind.F32, mx.float16: Kind.F16, mx.bfloat16: Kind.BF16}
FILE_TYPES = {
    Kind.F32: gguf.LlamaFileType.ALL_F32,
    Kind.F16: gguf.LlamaFileType.MOSTLY_F16,
    Kind.BF16: gguf.LlamaFileType.MOSTLY_BF16,
}
NBYTES = {Kind.F32: 4, Kind.F16: 2, Kind.BF16: 2}
USUAL = {"max_position_embeddings": 2048}  # where a configuration does not say: a default context
FORMER = {"type": "rope_type", "original_max_position_embeddings": "original_context_length"}


def check_model(config: dict[str, Any], tokenizer: Any) -> None:
    """Refuse a model that no GGUF file of yofo's can hold, before anything is fused."""
    architecture(config)
    arguments = _arguments(config)
    if any(kind != "full_attention" for kind in getattr(arguments, "layer_types", None) or ()):
        raise _refused("some of its layers see a window only")
    _scaling(arguments, _width(arguments))
    vocabulary_of(tokenizer, config, arguments.vocab_size)


def write_gguf(folder: Path, tokenizer: Any, name: str, path: Path) -> None:
    """Write a fused model's directory, which must not be quantized, as one GGUF file.

    `tokenizer`: as mlx-lm loads it. Matrices keep their kind of float, all else is float32.
    """
    config = model_config(folder)
    kind, arguments = architecture(config), _arguments(config)
    weights = {
        one: array
        for file in sorted(folder.glob("*.safetensors"))
        for one, array in load_arrays(file).items()  # from the disk once it is needed
    }
    rows = weights["model.embed_tokens.weight"].shape[0]
    writer = gguf.GGUFWriter(path, kind)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    _add_sizes(writer, arguments, rows)
    factors = _add_scaling(writer, arguments)
    for key, value in vocabulary_of(tokenizer, config, rows).items():
        _add(writer, f"tokenizer.{key}", value)
    kinds = {one: _kind(array) for one, array in weights.items()}
    writer.add_file_type(FILE_TYPES[kinds["model.embed_tokens.weight"]])
    if factors is not None:
        writer.add_tensor_info(ROPE_FACTORS, factors.shape, factors.dtype, factors.nbytes)
    for one, array in weights.items():
        module, _, part = one.rpartition(".")
        nbytes = array.size * NBYTES[kinds[one]]
        there = f"{module_name(module)}.{part}"
        writer.add_tensor_info(there, array.shape, np.dtype(np.float32), nbytes, kinds[one])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if factors is not None:
        writer.write_tensor_data(factors)
    for one in list(weights):
        heads = rotated_heads(one.rpartition(".")[0], config)
        array = weights.pop(one)
        try:
            writer.write_tensor_data(_raw(array, kinds[one], heads))
        except OSError as error:  # NumPy does not say why it could not write
            raise why_not_written(path.parent, array.nbytes) from error
    writer.close()
    examine(path)


def _arguments(config: dict[str, Any]) -> Any:
    """Return what mlx-lm takes from a configuration, its defaults included."""
    _, arguments = _get_classes(config)
    return arguments.from_dict(config)


def _width(arguments: Any) -> int:
    usual = arguments.hidden_size // arguments.num_attention_heads
    return int(getattr(arguments, "head_dim", None) or usual)


def _add_sizes(writer: gguf.GGUFWriter, arguments: Any, rows: int) -> None:
    for key, there in SIZES.items():
        value = getattr(arguments, key, None) or USUAL[key]
        kind = float if key in FRACTIONS else int
        _add(writer, f"{writer.arch}.{there}", kind(value))
    width = _width(arguments)
    for key in ("attention.key_length", "attention.value_length", "rope.dimension_count"):
        _add(writer, f"{writer.arch}.{key}", width)
    writer.add_vocab_size(rows)


def _add_scaling(writer: gguf.GGUFWriter, arguments: Any) -> Array | None:
    """Write how positions are stretched; return Llama 3's factors, which are a tensor."""
    width = _width(arguments)
    scaling = _scaling(arguments, width)
    if isinstance(scaling, np.ndarray):
        return scaling
    for key, value in scaling.items():
        _add(writer, f"{writer.arch}.rope.scaling.{key}", value)
    return None


def _scaling(arguments: Any, width: int) -> Array | dict[str, Any]:
    given = dict(getattr(arguments, "rope_scaling", None) or {})
    given = {FORMER.get(key, key): value for key, value in given.items() if value is not None}
    given.pop("rope_theta", None)
    kind = given.pop("rope_type", "default")
    if kind == "default" and not given:
        return {}
    if kind == "llama3":
        factor = float(given.pop("factor"))
        there = {FORMER.get(key, key): value for key, value in LLAMA3.items()}
        if {key: float(value) for key, value in given.items()} == there:
            return llama3_factors(arguments.rope_theta, width, factor).astype(np.float32)
    elif kind == "linear" and set(given) == {"factor"}:
        return {"type": kind, "factor": float(given["factor"])}
    elif kind == "yarn" and set(given) == {"factor", "original_context_length"}:
        given["original_context_length"] = int(given["original_context_length"])
        return {"type": kind, **given, "factor": float(given["factor"])}
    raise _refused(f"its positions are stretched by {kind!r} with {', '.join(sorted(given))}")


def _refused(why: str) -> RunError:
    return RunError(
        f"yofo writes no GGUF file of this model: {why}",
        "export `--to fused`, and convert that with llama.cpp's convert_hf_to_gguf",
    )


def _kind(array: mx.array) -> Kind:
    return KINDS[array.dtype] if array.ndim > 1 else Kind.F32


def _raw(array: mx.array, kind: Kind, heads: int) -> Array:
    """Return the bytes of a weight, rows of queries and keys in llama.cpp's order."""
    if kind == Kind.BF16:
        rows = np.array(array.view(mx.uint16))
    else:
        rows = np.array(array.astype(mx.float16 if kind == Kind.F16 else mx.float32))
    return pairs(rows, heads) if heads else rows


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    kinds = gguf.GGUFValueType
    if isinstance(value, list):
        sub = kinds.INT32 if isinstance(value[0], int) else kinds.get_type(value[0])
        writer.add_key_value(key, value, kinds.ARRAY, sub)
    elif isinstance(value, int) and not isinstance(value, bool):
        writer.add_uint32(key, value)
    else:
        writer.add_key_value(key, value, kinds.get_type(value))
