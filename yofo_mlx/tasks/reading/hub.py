"""Data sets on the Hugging Face hub: from an id to files on disk.

Only data files are fetched. Loading scripts are never run: a data set that needs one is read from
the copy that the hub converts to Parquet.
"""

import glob
from collections.abc import Sequence

from yofo_mlx.errors import DataError
from yofo_mlx.hub.errors import Repo
from yofo_mlx.hub.snapshot import look, snapshot
from yofo_mlx.tasks.reading import hubcard, layout
from yofo_mlx.tasks.reading.formats import DataFile
from yofo_mlx.tasks.reading.layout import Listing

CONVERTED = "refs/convert/parquet"


def list_files(id: str, config: str | None = None, revision: str | None = None) -> Listing:
    """Find the data files of a data set; nothing but its card is fetched."""
    commit, files, card = _look(id, revision)
    chosen = layout.choose(id, config, files, card)
    if chosen is None and revision is None:
        commit, files = _look_at_converted(id)
        chosen = layout.choose(id, config, files, hubcard.Card())
    if chosen is None:
        hint = "readable are Parquet, JSONL, JSON and CSV files; fetch others and convert them"
        raise DataError(f"{id}: no data files that can be read", hint)
    names = card.class_names(config or chosen.config)
    return Listing(chosen.splits, _from(id, commit), names, chosen.left_out)


def list_named(id: str, names: Sequence[str], revision: str | None = None) -> Listing:
    """Find data files by their names in a data set's repository."""
    commit, files, card = _look(id, revision)
    missing = next((name for name in names if name not in files), None)
    if missing is not None:
        data = [name for name in files if layout.is_data(name)]
        known = ", ".join(data[:8]) + (", ..." if len(data) > 8 else "")
        raise DataError(f"{id}: no file `{missing}`", f"there are: {known or 'none'}")
    splits = {name: [name] for name in names}
    return Listing(splits, _from(id, commit), card.class_names(None))


def _from(id: str, commit: str) -> layout.Fetch:
    """Return what downloads files of a commit, or finds them in the cache."""

    def fetch(names: Sequence[str]) -> list[DataFile]:
        folder = snapshot(Repo("dataset", id, commit), [glob.escape(name) for name in names])
        return [DataFile(folder / name, f"{id}/{name}") for name in names]

    return fetch


def _look(id: str, revision: str | None) -> tuple[str, list[str], hubcard.Card]:
    """Return commit, file names and card of a revision, from the hub or from the cache."""
    folder, files = look(Repo("dataset", id, revision), hubcard.NAMES)
    return folder.name, files, hubcard.read(folder)


def _look_at_converted(id: str) -> tuple[str, list[str]]:
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        commit, files, _ = _look(id, CONVERTED)
    except DataError as error:
        if isinstance(error.__cause__, RevisionNotFoundError):
            return "", []
        raise
    return commit, files
