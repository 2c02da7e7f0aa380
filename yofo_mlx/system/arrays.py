"""Arrays on disk, as safetensors."""

from pathlib import Path

import mlx.core as mx

from yofo_mlx.system.files import why_not_written


def save_arrays(
    path: Path, arrays: dict[str, mx.array], metadata: dict[str, str] | None = None
) -> None:
    """Write arrays, the same bytes for the same arrays; a disk that refuses is an OSError."""
    try:
        mx.save_safetensors(str(path), dict(sorted(arrays.items())), metadata)
    except RuntimeError as error:
        nbytes = sum(array.nbytes for array in arrays.values())
        raise why_not_written(path.parent, nbytes) from error


def load_arrays(path: Path) -> dict[str, mx.array]:
    """Read arrays by name."""
    arrays = mx.load(str(path))
    assert isinstance(arrays, dict)
    return arrays
