"""Parquet and Arrow files: rows, and the class names that the hub's writers leave with them."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yofo_mlx.system.files import read_object
from yofo_mlx.tasks.problems import Place, Problem
from yofo_mlx.tasks.reading.rows import Row

ClassNames = dict[str, tuple[str, ...]]

_BATCH = 1024


def read_parquet(path: Path, shown: str, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of a Parquet file, numbered from 1."""
    import pyarrow.parquet

    def batches() -> Iterator[Any]:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH)

    yield from _rows(batches(), "Parquet", shown, problems)


def read_arrow(path: Path, shown: str, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of an Arrow stream or file, such as `save_to_disk` writes."""
    import pyarrow

    def batches() -> Iterator[Any]:
        with pyarrow.OSFile(str(path)) as source, _reader(source) as reader:
            for batch in _batches(reader):
                for start in range(0, batch.num_rows, _BATCH):
                    yield batch.slice(start, _BATCH)

    yield from _rows(batches(), "Arrow", shown, problems)


def _rows(batches: Iterator[Any], form: str, shown: str, problems: list[Problem]) -> Iterator[Row]:
    import pyarrow

    number = 0
    try:
        for batch in batches:
            twice = next((name for name, n in Counter(batch.schema.names).items() if n > 1), None)
            if twice is not None:
                message, hint = f"two columns are named `{twice}`", "name each column once"
                problems.append(Problem(Place(shown), message, hint, ends_file=True))
                return
            for fields in _in_python(batch).to_pylist():
                number += 1
                yield Row(Place(shown, number, "record"), fields)
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        place = Place(shown, number + 1 if number else 0, "record")
        message = f"not readable as {form}: {reason}"
        problems.append(Problem(place, message, "fetch or write it again", ends_file=True))


def _in_python(batch: Any) -> Any:
    """Return a batch whose times, where they are finer than Python's, are counts of nanoseconds.

    Those are what Arrow makes the same times of again.
    """
    for index, field in enumerate(batch.schema):
        column = batch.column(index)
        if _is_finer(column):
            batch = batch.set_column(index, field.name, column.cast(_counted(field.type)))
    return batch


def _is_finer(array: Any) -> bool:
    """Tell whether there are times in it that are finer than a microsecond, however deep."""
    import pyarrow
    from pyarrow import types

    if types.is_struct(array.type):
        return any(map(_is_finer, array.flatten()))
    if _is_list(array.type):
        return _is_finer(array.flatten())
    if not _counts_nanoseconds(array.type):
        return False
    counts = array.cast(pyarrow.int64()).to_pylist()
    return any(count is not None and count % 1000 for count in counts)


def _counted(kind: Any) -> Any:
    """Return a type with counts of nanoseconds in the places of times in them."""
    import pyarrow
    from pyarrow import types

    if types.is_struct(kind):
        return pyarrow.struct([field.with_type(_counted(field.type)) for field in kind])
    if types.is_large_list(kind):
        return pyarrow.large_list(_counted(kind.value_type))
    if _is_list(kind):
        length = kind.list_size if types.is_fixed_size_list(kind) else -1
        return pyarrow.list_(_counted(kind.value_type), length)
    return pyarrow.int64() if _counts_nanoseconds(kind) else kind


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return any((types.is_list(kind), types.is_large_list(kind), types.is_fixed_size_list(kind)))


def _counts_nanoseconds(kind: Any) -> bool:
    from pyarrow import types

    is_time = types.is_duration(kind) or types.is_timestamp(kind) or types.is_time64(kind)
    return bool(is_time and kind.unit == "ns")


def _reader(source: Any) -> Any:
    """Open an Arrow file, which can be read at any place, or a stream."""
    import pyarrow

    is_file = source.read(6) == b"ARROW1"
    source.seek(0)
    return pyarrow.ipc.open_file(source) if is_file else pyarrow.ipc.open_stream(source)


def _batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)


def class_names(path: Path) -> ClassNames:
    """Return the label names kept with a file, by column; empty where there are none."""
    if path.suffix.lower() not in (".parquet", ".arrow"):
        return {}
    return names_of(_in_schema(path)) or names_of(_beside(path))


def _in_schema(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        if path.suffix.lower() == ".parquet":
            metadata = pyarrow.parquet.read_schema(path).metadata or {}
        else:
            with pyarrow.OSFile(str(path)) as source, _reader(source) as reader:
                metadata = reader.schema.metadata or {}
        return json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError):
        return None


def _beside(path: Path) -> Any:
    """Return the features that `save_to_disk` writes beside its files."""
    return read_object(path.parent / "dataset_info.json").get("features")


def names_of(features: Any) -> ClassNames:
    """Return the names of class labels among the features of a data set."""
    if not isinstance(features, dict):
        return {}
    found = {str(column): _names(feature) for column, feature in features.items()}
    return {column: names for column, names in found.items() if names}


def _names(feature: Any) -> tuple[str, ...]:
    """Find the names of a class label, also inside a list of them."""
    if isinstance(feature, list):
        return _names(feature[0]) if feature else ()
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") == "ClassLabel":
        return tuple(map(str, feature.get("names") or ()))
    return _names(feature.get("feature"))
