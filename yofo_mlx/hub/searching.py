"""Data sets of the hub that hold a word in their ids, the most downloaded first."""

from dataclasses import dataclass
from typing import Any

from yofo_mlx.errors import DataError, YofoError
from yofo_mlx.hub.client import asking
from yofo_mlx.hub.errors import Repo, reason_of, what_to_do


@dataclass(frozen=True)
class Found:
    """A data set that the hub knows; what is not said of it is None."""

    id: str
    downloads: int | None
    rows: str | None  # in the hub's own words, such as 10K<n<100K
    is_gated: bool


def data_sets(words: str, most: int) -> list[Found]:
    """Return the data sets whose ids hold these words; raise DataError where nobody answers."""
    from huggingface_hub import HfApi

    try:
        with asking(Repo("dataset", words)):
            try:
                api = HfApi()
                return [
                    _found(one)
                    for one in api.list_datasets(search=words, sort="downloads", limit=most)
                ]
            except (LookupError, TypeError, AttributeError) as error:
                raise ValueError("an answer of another shape") from error
    except YofoError as error:
        if not isinstance(cause := error.__cause__, Exception):
            raise
        raise DataError(
            f"the hub cannot be searched: {reason_of(cause)}", what_to_do(cause)
        ) from cause


def _found(info: Any) -> Found:
    tags = [tag for tag in info.tags or () if isinstance(tag, str)]
    rows = next((tag.partition(":")[2] for tag in tags if tag.startswith("size_categories:")), None)
    return Found(str(info.id), info.downloads, rows, bool(info.gated))
