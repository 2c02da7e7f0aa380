"""Data sets of the hub, looked for by a word of their ids."""

from dataclasses import asdict
from typing import Any

from yofo_mlx.hub import searching


def search(words: str, most: int = 50) -> dict[str, Any]:
    """Return the ids that hold these words, with what the hub says of each."""
    return {"found": [asdict(one) for one in searching.data_sets(words, most)]}
