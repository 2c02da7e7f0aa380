"""Data sets on the Hugging Face hub: from an id to files on disk.

Only data files are fetched. Loading scripts are never run: a data set that needs one is read from
the copy that the hub converts to Parquet.
"""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from yofo_mlx.errors import DataError
from yofo_mlx.tasks import hubcard
from yofo_mlx.tasks.parquet import ClassNames
from yofo_mlx.tasks.readers import DataFile, format_of
from yofo_mlx.tasks.splits import by_name, meaning

CONVERTED = "refs/convert/parquet"

_NOT_DATA = ("dataset_infos.json", "dataset_info.json", "config.json", "metadata.json")


@dataclass
class Listing:
    """Files of one configuration, by the split names of the data set."""

    id: str
    commit: str
    splits: dict[str, list[str]]
    class_names: ClassNames = field(default_factory=dict)


def list_files(id: str, config: str | None = None, revision: str | None = None) -> Listing:
    """Find the data files of a data set; nothing but its card is fetched."""
    with _friendly(id, revision):
        commit, files, card = _look(id, revision)
        chosen = _choose(id, config, files, card)
        if chosen is None and revision is None:
            commit, files = _look_at_converted(id)
            chosen = _choose(id, config, files, hubcard.Card())
    if chosen is None:
        hint = "readable are Parquet, JSONL, JSON and CSV files; fetch others and convert them"
        raise DataError(f"{id}: no data files that can be read", hint)
    return Listing(id, commit, chosen, card.class_names(config))


def list_named(id: str, names: list[str], revision: str | None = None) -> Listing:
    """Find data files by their names in a data set's repository."""
    with _friendly(id, revision):
        commit, files, card = _look(id, revision)
    missing = next((name for name in names if name not in files), None)
    if missing is not None:
        data = [name for name in files if _is_data(name)]
        known = ", ".join(data[:8]) + (", ..." if len(data) > 8 else "")
        raise DataError(f"{id}: no file `{missing}`", f"there are: {known or 'none'}")
    return Listing(id, commit, {name: [name] for name in names}, card.class_names(None))


def fetch(listing: Listing, names: list[str]) -> list[DataFile]:
    """Download files of a listing, or find them in the cache."""
    from huggingface_hub import snapshot_download

    with _friendly(listing.id, None):
        folder = snapshot_download(
            listing.id,
            repo_type="dataset",
            revision=listing.commit,
            allow_patterns=[glob.escape(name) for name in names],
        )
    return [DataFile(Path(folder, name), f"{listing.id}/{name}") for name in names]


def _look(id: str, revision: str | None) -> tuple[str, list[str], hubcard.Card]:
    """Return commit, file names and card of a revision, from the hub or from the cache."""
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    class NoBar(tqdm):
        """One small file is fetched before anybody has read the bar."""

        def __init__(self, *args: Any, **keys: Any) -> None:
            super().__init__(*args, **{**keys, "disable": True})  # type: ignore[no-untyped-call]

    folder = Path(
        snapshot_download(
            id,
            repo_type="dataset",
            revision=revision,
            allow_patterns=["README.md"],
            tqdm_class=NoBar,
        )
    )
    commit = folder.name
    tree = get_cached_repo_tree(id, repo_type="dataset", revision=commit)
    return commit, sorted(entry.path for entry in tree), hubcard.read(folder / "README.md")


def _look_at_converted(id: str) -> tuple[str, list[str]]:
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        commit, files, _ = _look(id, CONVERTED)
    except RevisionNotFoundError:
        return "", []
    return commit, files


def _choose(
    id: str, config: str | None, files: list[str], card: hubcard.Card
) -> dict[str, list[str]] | None:
    """Return the files of one configuration by split name, None if there are none at all."""
    data = [name for name in files if _is_data(name)]
    if card.configs:
        picked = _pick(id, config, list(card.configs), card.default)
        return _match(card.configs[picked], data) or None
    folders = _config_folders(data)
    if not data or (config is not None and config not in folders):
        # A configuration the files do not show may be one of a script's.
        return None if not data or not folders else _unknown(id, config, folders)
    loose = [name for name in data if _config_of(name) is None]
    if loose and config is None:
        return by_name((name, name) for name in loose)
    picked = _pick(id, config, folders, "default")
    return by_name((name, name) for name in data if _config_of(name) == picked)


def _unknown(id: str, config: str | None, known: list[str]) -> dict[str, list[str]]:
    raise DataError(f"{id}: no configuration `{config}`", f"there are: {', '.join(known)}")


def _pick(id: str, config: str | None, known: list[str], default: str | None) -> str:
    if config is not None:
        if config not in known:
            _unknown(id, config, known)
        return config
    if len(known) == 1 or default in known:
        return default if default in known and default else known[0]
    listed = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    raise DataError(
        f"{id} has several configurations: {listed}", f'name one, such as config = "{known[0]}"'
    )


def _match(patterns: dict[str, list[str]], files: list[str]) -> dict[str, list[str]]:
    found = {
        split: [name for name in files if any(_fits(name, pattern) for pattern in wanted)]
        for split, wanted in patterns.items()
    }
    if list(found) == [""]:  # the card names files, but no splits
        return by_name((name, name) for name in found[""])
    return {split: names for split, names in found.items() if names}


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, pattern.replace("**/", ""))


def _is_data(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return format_of(name) is not None and path.name not in _NOT_DATA and not hidden


def _config_of(name: str) -> str | None:
    """Return the folder that names a configuration: the first that is no split and not `data`."""
    folders = PurePosixPath(name).parts[:-1]
    return next((part for part in folders if part != "data" and not _is_split_folder(part)), None)


def _is_split_folder(part: str) -> bool:
    return meaning(part.removeprefix("partial-")) is not None


def _config_folders(files: list[str]) -> list[str]:
    return sorted({config for name in files if (config := _config_of(name)) is not None})


@contextmanager
def _friendly(id: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into two helpful lines."""
    from huggingface_hub import constants, errors

    page = f"https://huggingface.co/datasets/{id}"
    login = "then: hf auth login"
    local = "there is no file or folder of this name either"
    away = "not in the cache, and the hub cannot be reached"
    # From particular to general: several of these classes are kinds of a later one. The base of the
    # client's HTTP errors comes from whichever HTTP library this client uses.
    told: tuple[tuple[type[Exception], str, str], ...] = (
        (errors.GatedRepoError, "access must be granted", f"accept the terms at {page}, {login}"),
        (errors.RevisionNotFoundError, f"no revision `{revision}`", f"see {page}/tree/main"),
        (
            errors.RepositoryNotFoundError,
            "not on the hub, or private",
            f"{local}; if private, {login}",
        ),
        (errors.HFValidationError, "not the id of a data set", "ids have the form owner/name"),
        (errors.LocalEntryNotFoundError, away, f"{_network()}; {local}"),
        (errors.CachedRepoTreeNotFoundError, away, f"{_network()}; {local}"),
        (errors.OfflineModeIsEnabled, away, f"{_network()}; {local}"),
        (errors.HfHubHTTPError, "the hub refused the request", "try again later"),
        (errors.HfHubHTTPError.__bases__[0], "the download broke off", _network()),
        (OSError, "the download failed", _network()),
        (ValueError, "the hub's answer makes no sense", f"open {constants.ENDPOINT} in a browser"),
    )
    try:
        yield
    except DataError:
        raise
    except tuple(kind for kind, _, _ in told) as error:
        what, hint = next((what, hint) for kind, what, hint in told if isinstance(error, kind))
        raise DataError(f"{id}: {what}{_detail(error)}", hint) from error


def _network() -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "unset HF_HUB_OFFLINE to download it"
    return f"check the connection to {constants.ENDPOINT}"


def _detail(error: Exception) -> str:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    reason = getattr(error, "strerror", None)
    return f" (HTTP {status})" if status else f" ({reason})" if reason else ""
