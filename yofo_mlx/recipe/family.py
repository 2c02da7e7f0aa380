"""The families of tasks, as recipes name them."""

from typing import Literal, get_args

Family = Literal[
    "classification", "multilabel", "summarization", "qa", "nli", "math", "extraction", "other"
]
FAMILIES: tuple[str, ...] = get_args(Family)
