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
FAST_PAIRS, LOOK_STRENGTH = 4, 5 / 7.5  # 1 / 7.5: root mean square of an embedding
SLOW = 0.006  # rotations per token (radians) below which a RoPE pair serves content matching
MATCH_STRENGTH = 1.95
# Layer 1 compares, from a query token to an earlier one, what each saw so many tokens back.
MATCHES = ((0, 1), (1, 2), (2, 3), (1, 1))


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
    """Let layer 0 look back 1, 2, 3 tokens, and layer 1 copy what stands at a match."""
    width, head = shape.hidden_size, shape.head_dim
    written = inside(orthonormal(random, width - 1, head * len(LOOK_BACKS)))
    # What a head reads from the token itself, and from what it saw one, two, three tokens back.
    sources = [inside(orthonormal(random, width - 1, head)), *np.split(written, len(LOOK_BACKS), 1)]
    for index, distance in enumerate(LOOK_BACKS):
        prefix, part = "model.layers.0.self_attn.", slice(index * head, (index + 1) * head)
        query, key = look_back(shape, distance)
        weights[f"{prefix}q_proj.weight"][part] = query
        weights[f"{prefix}k_proj.weight"][part] = key
        weights[f"{prefix}v_proj.weight"][part] = sources[0].T
        weights[f"{prefix}o_proj.weight"][:, part] = 0.17 * sources[distance]
    for index, (asking, asked) in enumerate(MATCHES):
        prefix, part = "model.layers.1.self_attn.", slice(index * head, (index + 1) * head)
        copied = inside(orthonormal(random, width - 1, head))
        weights[f"{prefix}q_proj.weight"][part] = content_match(shape, sources[asking])
        weights[f"{prefix}k_proj.weight"][part] = content_match(shape, sources[asked])
        weights[f"{prefix}v_proj.weight"][part] = copied.T
        weights[f"{prefix}o_proj.weight"][:, part] = 0.2 * copied


def inside(columns: np.ndarray) -> np.ndarray:
    """Put a row of zeros where the constant coordinate is."""
    return np.insert(columns, CONSTANT, 0.0, axis=0)


def rotations(shape: Shape) -> np.ndarray:
    """Return how far RoPE turns each pair of a head per token, in radians."""
    pairs = shape.head_dim // 2
    return shape.rope_theta ** (-np.arange(pairs) / pairs)


def look_back(shape: Shape, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return query and key matrices that see the constant only and meet `distance` apart."""
    turn = rotations(shape) * distance
    strength = np.where(np.arange(len(turn)) < FAST_PAIRS, LOOK_STRENGTH, 0.0)
    query, key = np.zeros((2, shape.head_dim, shape.hidden_size))
    query[:, CONSTANT] = np.concatenate([strength, 0 * strength])
    key[:, CONSTANT] = np.concatenate([strength * np.cos(turn), strength * np.sin(turn)])
    return query, key


def content_match(shape: Shape, source: np.ndarray) -> np.ndarray:
    """Return a query or key matrix that compares `source` in the slowest RoPE pairs."""
    slow = np.flatnonzero(rotations(shape) < SLOW)
    slow = np.concatenate([slow, slow + shape.head_dim // 2])
    matching = np.zeros((shape.head_dim, shape.hidden_size))
    matching[slow] = MATCH_STRENGTH * source.T[: len(slow)]
    return matching
