"""Data sets on the Hugging Face hub: from an id to files on disk.

Only data files are fetched. Loading scripts are never run: a data set that needs one is read from
the copy that the hub converts to Parquet.
"""

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yofo_mlx.errors import DataError
from yofo_mlx.tasks import hubcard, layout
from yofo_mlx.tasks.layout import Listing
from yofo_mlx.tasks.readers import DataFile

CONVERTED = "refs/convert/parquet"


def list_files(id: str, config: str | None = None, revision: str | None = None) -> Listing:
    """Find the data files of a data set; nothing but its card is fetched."""
    with _friendly(id, revision):
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
    with _friendly(id, revision):
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
        from huggingface_hub import snapshot_download

        with _friendly(id, None):
            folder = snapshot_download(
                id,
                repo_type="dataset",
                revision=commit,
                allow_patterns=[glob.escape(name) for name in names],
            )
        return [DataFile(Path(folder, name), f"{id}/{name}") for name in names]

    return fetch


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
            allow_patterns=list(hubcard.NAMES),
            tqdm_class=NoBar,
        )
    )
    commit = folder.name
    tree = get_cached_repo_tree(id, repo_type="dataset", revision=commit)
    return commit, sorted(entry.path for entry in tree), hubcard.read(folder)


def _look_at_converted(id: str) -> tuple[str, list[str]]:
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        commit, files, _ = _look(id, CONVERTED)
    except RevisionNotFoundError:
        return "", []
    return commit, files


@contextmanager
def _friendly(id: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into two helpful lines."""
    from huggingface_hub import constants, errors, get_session

    hooks = get_session().event_hooks["request"]
    if _wait_no_longer not in hooks:
        hooks.append(_wait_no_longer)
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
        (errors.HfHubHTTPError, "the hub refused the request", ""),
        (errors.HfHubHTTPError.__bases__[0], "the download broke off", _network()),
        (OSError, "the download failed", _network()),
        (ValueError, "the hub's answer makes no sense", f"open {constants.ENDPOINT} in a browser"),
    )
    try:
        yield
    except DataError:
        raise
    except tuple(kind for kind, _, _ in told) as error:
        # What is not in the cache either is told as that; the answer of the hub is its cause.
        cause = error.__cause__ if isinstance(error.__cause__, errors.HfHubHTTPError) else error
        what, hint = next((what, hint) for kind, what, hint in told if isinstance(cause, kind))
        raise DataError(f"{id}: {what}{_detail(cause)}", hint or _refused(cause)) from error


def _wait_no_longer(request: Any) -> None:
    """Bound the requests that the hub's client would wait for without an end."""
    from huggingface_hub import constants

    waits = request.extensions.get("timeout", {})
    waits.update({k: constants.HF_HUB_DOWNLOAD_TIMEOUT for k, v in waits.items() if v is None})


def _refused(error: Exception) -> str:
    """Return what to do about a refusal, by the hub's answer."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    known = {
        403: "check the rights of your token (hf auth whoami), or ask whoever keeps the proxy",
        429: "too many requests: wait some minutes, or log in: hf auth login",
    }
    return known.get(status, "the fault is the hub's: try again later")


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
