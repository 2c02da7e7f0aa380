"""The tensors of a GGUF file as mlx-lm's: dequantized, or in the groups of `mx.quantize`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import Q4_K, dequantize

from yofo_mlx.errors import RecipeError
from yofo_mlx.models.gguf.header import Header
from yofo_mlx.models.gguf.shape import modules, rotated_heads
from yofo_mlx.system.environment import on_cpu
from yofo_mlx.system.memory import memory_limit

Kind = GGMLQuantizationType
Array = np.ndarray[Any, Any]
GROUP = 32
DTYPES = {Kind.F32: mx.float32, Kind.F16: mx.float16, Kind.BF16: mx.bfloat16}
BITS = {  # of the kinds whose groups `mx.quantize` has, too: 32 values with a scale and a bias
    Kind.Q4_0: 4,
    Kind.Q4_1: 4,
    Kind.Q4_K: 4,
    Kind.Q5_0: 5,
    Kind.Q5_1: 5,
    Kind.Q5_K: 5,
    Kind.Q8_0: 8,
}
PARTS = ("weight", "scales", "biases")
ROWS = 8192  # converted at once
WEIGHTS_SHARE = 0.5  # of the memory: training and a context need the rest


@dataclass(frozen=True)
class Form:
    """What weights become: of one data type, and quantized or not."""

    dtype: mx.Dtype
    packed: bool = False

    def __str__(self) -> str:
        name = str(self.dtype).removeprefix("mlx.core.")
        return f"quantized as it is, the rest {name}" if self.packed else f"as {name}"

    def nbytes(self, header: Header) -> int:
        """Return the bytes of a file's weights in this form."""
        return sum(
            tensor.size * BITS[tensor.kind] // 8 + tensor.size // GROUP * 4
            if self.packed and tensor.kind in BITS
            else tensor.size * self.dtype.size
            for tensor in header.tensors.values()
        )


def is_quantized(header: Header) -> bool:
    """Tell whether any weight is not kept as a number of its own."""
    return any(tensor.kind not in DTYPES for tensor in header.tensors.values())


def best_form(header: Header) -> Form:
    """Return what serves on this machine: a CPU takes ten times as long for quantized weights."""
    kinds = {tensor.kind for tensor in header.tensors.values()}
    if not is_quantized(header):
        return Form(
            next((DTYPES[kind] for kind in (Kind.BF16, Kind.F16) if kind in kinds), mx.float32)
        )
    whole = Form(mx.float32)
    if on_cpu() and whole.nbytes(header) <= memory_limit().nbytes * WEIGHTS_SHARE:
        return whole
    return Form(mx.float16, packed=True)


def check_kinds(header: Header) -> None:
    """Refuse a file with a quantization that cannot be undone."""
    for name, tensor in header.tensors.items():
        if tensor.kind in DTYPES:
            continue
        if len(tensor.shape) < 2:
            wrong = f"{header.path}: {name} is no matrix, and quantized as {tensor.kind.name}"
            raise RecipeError(wrong, "its writer is faulty: look for another file of the model")
        block = np.zeros((1, GGML_QUANT_SIZES[tensor.kind][1]), np.uint8)
        try:
            dequantize(block, tensor.kind)
        except NotImplementedError:
            raise RecipeError(
                f"{header.path}: yofo cannot undo the quantization {tensor.kind.name} of {name}",
                "look for the model in another quantization, such as Q8_0 or Q4_K_M",
            ) from None


def arrays(header: Header, config: dict[str, Any], form: Form) -> Iterator[dict[str, mx.array]]:
    """Yield the arrays of one weight after another, under mlx-lm's names."""
    heads = rotated_heads(header, config)
    with header.path.open("rb") as stream:
        for name, here in modules(header).items():
            raw, tensor = header.read(stream, name), header.tensors[name]
            module = here.rpartition(".")[0]
            if number := next((n for end, n in heads.items() if module.endswith(end)), None):
                raw = halves(raw.reshape(tensor.shape[0], -1), number).reshape(raw.shape)
            if form.packed and tensor.kind in BITS:
                parts = [packed(rows, tensor.kind) for rows in _pieces(raw)]
                one = {f"{module}.{key}": _joined([part[key] for part in parts]) for key in PARTS}
            else:
                one = {
                    here: _joined([_floats(rows, tensor.kind, form.dtype) for rows in _pieces(raw)])
                }
            yield one


def quantization(header: Header, form: Form) -> dict[str, Any] | None:
    """Return config.json's word on the weights that are in groups."""
    bits = {
        here.rpartition(".")[0]: BITS[header.tensors[name].kind]
        for name, here in modules(header).items()
        if header.tensors[name].kind in BITS
    }
    if not form.packed or not bits:
        return None
    most = max(set(bits.values()), key=list(bits.values()).count)
    others = {name: number for name, number in bits.items() if number != most}
    return {
        "group_size": GROUP,
        "bits": most,
        **{name: {"group_size": GROUP, "bits": number} for name, number in others.items()},
    }


def halves(rows: Array, heads: int) -> Array:
    """Put rows that rotate in neighbouring pairs back into the two halves of each head."""
    paired = rows.reshape(heads, -1, 2, rows.shape[-1])
    return np.ascontiguousarray(paired.swapaxes(1, 2)).reshape(rows.shape)


def packed(raw: Array, kind: Kind) -> dict[str, mx.array]:
    """Return the values, scales and biases of `mx.quantize` for rows of blocks; value = q s + b.

    Exact but for the scales of Q4_K and Q5_K, which are products and rounded to float16.
    """
    scales, biases = (part.reshape(len(raw), -1, 1) for part in _groups(raw, kind))
    values = dequantize(raw, kind).reshape(len(raw), -1, GROUP)
    steps = np.divide(values - biases, scales, out=np.zeros_like(values), where=scales != 0)
    whole = np.rint(steps).astype(np.uint8).reshape(len(raw), -1, 1)
    bits = (whole >> np.arange(BITS[kind], dtype=np.uint8)) & 1
    words = np.packbits(bits.reshape(len(raw), -1), axis=-1, bitorder="little").view("<u4")
    return {
        "weight": mx.array(words),
        "scales": mx.array(scales[..., 0].astype(np.float16)),
        "biases": mx.array(biases[..., 0].astype(np.float16)),
    }


def _pieces(raw: Array) -> list[Array]:
    """Return blocks of rows: taken apart they are several times as large."""
    return [raw[start : start + ROWS] for start in range(0, len(raw), ROWS)]


def _joined(pieces: list[mx.array]) -> mx.array:
    joined = mx.concatenate(pieces)
    mx.eval(joined)
    return joined


def _groups(raw: Array, kind: Kind) -> tuple[Array, Array]:
    """Return the float32 scales and biases of the groups in rows of blocks."""
    blocks = raw.reshape(-1, GGML_QUANT_SIZES[kind][1])
    halfs = blocks[:, :4].copy().view(np.float16).astype(np.float32)
    scale, second = halfs[:, :1], halfs[:, 1:]
    if kind in (Kind.Q4_K, Kind.Q5_K):
        factors, offsets = Q4_K.get_scale_min(blocks[:, 4:16])
        return scale * factors, -second * offsets
    if kind in (Kind.Q4_1, Kind.Q5_1):
        return scale, second
    return scale, -scale * 2 ** (BITS[kind] - 1)


def _floats(raw: Array, kind: Kind, dtype: mx.Dtype) -> mx.array:
    if kind == Kind.BF16:
        return mx.array(raw.view(np.uint16)).view(mx.bfloat16).astype(dtype)
    if kind == Kind.F16:
        return mx.array(raw.view(np.float16)).astype(dtype)
    return mx.array(dequantize(raw, kind)).astype(dtype)
