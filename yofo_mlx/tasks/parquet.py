"""Parquet files: rows, and the class names that the hub's writer leaves in the schema."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yofo_mlx.tasks.problems import Place, Problem
from yofo_mlx.tasks.rows import Row

ClassNames = dict[str, tuple[str, ...]]

_BATCH = 1024


def read_parquet(path: Path, shown: str, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of a Parquet file, numbered from 1."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(Place(shown, number, "record"), fields)
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        place = Place(shown, number + 1 if number else 0, "record")
        message = f"not readable as Parquet: {reason}"
        problems.append(Problem(place, message, "fetch or write it again"))


def class_names(path: Path) -> ClassNames:
    """Return the label names kept in a file's schema, by column; empty where there are none."""
    import pyarrow
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError):
        return {}
    found = {column: _names(feature) for column, feature in features.items()}
    return {column: names for column, names in found.items() if names}


def _names(feature: Any) -> tuple[str, ...]:
    """Find the names of a class label, also inside a list of them."""
    if isinstance(feature, list):
        return _names(feature[0]) if feature else ()
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") == "ClassLabel":
        return tuple(map(str, feature.get("names", ())))
    return _names(feature.get("feature"))
