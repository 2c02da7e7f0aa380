"""What layers are for, by the last part of their names in mlx-lm's models."""

KEYS_AND_VALUES = frozenset(("k_proj", "v_proj"))
ENDS_OF_ATTENTION = frozenset(("o_proj", "out_proj", "dense", "wo"))
ENDS_OF_FEED_FORWARD = frozenset(("down_proj", "w2", "fc2", "c_proj", "dense_4h_to_h"))


def last_part(name: str) -> str:
    """Return a layer's own name, without those of what it is in."""
    return name.rpartition(".")[2]


def ends_feed_forward(name: str) -> bool:
    """Tell whether a layer gives what a feed-forward unit gives; attention ends alike in some."""
    return last_part(name) in ENDS_OF_FEED_FORWARD and "att" not in name
