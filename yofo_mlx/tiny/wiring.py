"""The network's first weights: random, except for the beginnings of look-back and copy heads.

From plain random weights a network this small finds no key-to-value induction within millions of
tokens. So a few heads start near that circuit; training may change every weight afterwards.
"""

import mlx.core as mx
import numpy as np

from yofo_mlx.tiny.network import Shape
from yofo_mlx.tiny.tokenizer import SPACE, pieces

CONSTANT = 0  # the coordinate that is the same in every embedding, so that heads can ignore content
LOOK_BACKS = (1, 2, 3)
SLOW = 0.006  # rotations per token (radians) below which a RoPE pair serves content matching


def initial_weights(shape: Shape, seed: int) -> dict[str, mx.array]:
    """Return llama weights by mlx-lm's names."""
    random = np.random.default_rng(seed)
    weights = {"model.embed_tokens.weight": embedding(random, shape)}
    for layer in range(shape.num_hidden_layers):
        weights |= plain_layer(random, shape, f"model.layers.{layer}.")
    wire_heads(random, shape, weights)
    weights["model.norm.weight"] = np.ones(shape.hidden_size)
    return {name: mx.array(value.astype(np.float32)) for name, value in weights.items()}


def embedding(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Draw the embedding; a word with and without its space starts at nearly the same place."""
    table = 0.1 * random.standard_normal((shape.vocab_size, shape.hidden_size))
    shift = 0.1 * random.standard_normal(shape.hidden_size)
    ids = {piece: index for index, piece in enumerate(pieces())}
    for piece, index in ids.items():
        if SPACE + piece in ids:
            table[index] = table[ids[SPACE + piece]] + shift
    table[:, CONSTANT] = 1.0
    return table


def plain_layer(random: np.random.Generator, shape: Shape, prefix: str) -> dict[str, np.ndarray]:
    """Draw one layer whose two outputs are zero and whose inputs ignore the constant."""
    width, inner = shape.hidden_size, shape.intermediate_size
    sizes = {"self_attn.q_proj": width, "self_attn.k_proj": width, "self_attn.v_proj": width}
    sizes |= {"mlp.gate_proj": inner, "mlp.up_proj": inner}
    layer = {
        f"{prefix}{name}.weight": np.ones(width)
        for name in ("input_layernorm", "post_attention_layernorm")
    }
    for name, rows in sizes.items():
        matrix = random.standard_normal((rows, width)) / np.sqrt(width)
        matrix[:, CONSTANT] = 0.0
        layer[f"{prefix}{name}.weight"] = matrix
    layer[f"{prefix}self_attn.o_proj.weight"] = np.zeros((width, width))
    layer[f"{prefix}mlp.down_proj.weight"] = np.zeros((width, inner))
    return layer


def orthonormal(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Return a (rows, columns) matrix with orthonormal columns."""
    return np.linalg.qr(random.standard_normal((rows, columns)))[0]


def wire_heads(random: np.random.Generator, shape: Shape, weights: dict[str, np.ndarray]) -> None:
    """Let layer 0 look back 1, 2, 3 tokens, and layer 1 copy what followed a match."""
    width, head = shape.hidden_size, shape.head_dim
    rate = shape.rope_theta ** (-np.arange(head // 2) / (head // 2))
    slow = np.flatnonzero(rate < SLOW)
    slow = np.concatenate([slow, slow + head // 2])
    content = 1 + np.arange(width - 1)
    read = np.zeros((head, width))
    read[:, content] = orthonormal(random, width - 1, head).T
    written = np.zeros((width, head * len(LOOK_BACKS)))
    written[content] = orthonormal(random, width - 1, head * len(LOOK_BACKS))
    writes = np.split(written, len(LOOK_BACKS), axis=1)
    sources = [read, *(write.T for write in writes)]
    for index, distance in enumerate(LOOK_BACKS):
        part = slice(index * head, (index + 1) * head)
        first, second = "model.layers.0.self_attn.", "model.layers.1.self_attn."
        weights[f"{first}q_proj.weight"][part] = 0.0
        weights[f"{first}k_proj.weight"][part] = 0.0
        query = np.where(np.arange(head // 2) < 4, 5 / 7.5, 0.0)
        weights[f"{first}q_proj.weight"][part, CONSTANT] = np.concatenate([query, 0 * query])
        turned = np.concatenate([query * np.cos(rate * distance), query * np.sin(rate * distance)])
        weights[f"{first}k_proj.weight"][part, CONSTANT] = turned
        weights[f"{first}v_proj.weight"][part] = read
        weights[f"{first}o_proj.weight"][:, part] = 0.17 * writes[index]
        for name, source in (("q", sources[index]), ("k", sources[index + 1])):
            matching = np.zeros((head, width))
            matching[slow] = 1.95 * source[: len(slow)]
            weights[f"{second}{name}_proj.weight"][part] = matching
        copied = np.zeros((width, head))
        copied[content] = orthonormal(random, width - 1, head)
        weights[f"{second}v_proj.weight"][part] = copied.T
        weights[f"{second}o_proj.weight"][:, part] = 0.2 * copied
