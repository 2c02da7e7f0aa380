"""Files of models and data sets on the hub: what is not in the cache is downloaded.

Of a hub that is out of reach, or that fails, the copy in the cache is used, and that is told.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yofo_mlx.hub import download
from yofo_mlx.hub.client import asking, watch
from yofo_mlx.hub.errors import Repo
from yofo_mlx.system.talk import say

if TYPE_CHECKING:
    from huggingface_hub import RepoFile


def snapshot(repo: Repo, patterns: Sequence[str]) -> Path:
    """Return the folder of a revision with all files that match, downloading what is not here."""
    with asking(repo):
        return _complete(repo, patterns)


def look(repo: Repo, patterns: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the folder of a revision with its small files that match, and all files' names."""
    from huggingface_hub import get_cached_repo_tree

    with asking(repo):
        folder = _complete(repo, patterns)
        tree = get_cached_repo_tree(repo.id, repo_type=repo.kind, revision=folder.name)
    return folder, sorted(entry.path for entry in tree)


def _complete(repo: Repo, patterns: Sequence[str]) -> Path:
    folder = _look(repo)
    here = Repo(repo.kind, repo.id, folder.name)
    if missing := _missing(here, folder, patterns):
        download.files(repo, folder, missing)
    return _ask(here, patterns)  # makes links to what was downloaded


def _look(repo: Repo) -> Path:
    """Find the commit of a revision; of a hub in trouble, in the cache, and say so."""
    watch.trouble = None
    try:
        folder = _ask(repo, ())
    except (LookupError, TypeError, AttributeError, AssertionError) as error:
        raise ValueError("an answer of another shape") from error
    if watch.trouble is not None:
        _say_once(f"{watch.trouble}: taking the copy of {repo} that is here")
    return folder


@cache
def _say_once(words: str) -> None:
    say(words)


def _ask(repo: Repo, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    class NoBar(tqdm):
        """Downloads are told in words of ours."""

        def __init__(self, *args: Any, **keys: Any) -> None:
            super().__init__(*args, **{**keys, "disable": True})  # type: ignore[no-untyped-call]

    return Path(
        snapshot_download(
            repo.id,
            repo_type=repo.kind,
            revision=repo.revision,
            allow_patterns=list(patterns),
            tqdm_class=NoBar,
        )
    )


def _missing(repo: Repo, folder: Path, patterns: Sequence[str]) -> list["RepoFile"]:
    """Return the files that match and are not in a snapshot's folder."""
    from huggingface_hub import HfApi, RepoFile, errors, get_cached_repo_tree
    from huggingface_hub.utils import filter_repo_objects

    where: dict[str, Any] = {"repo_type": repo.kind, "revision": repo.revision}
    try:
        names = [file.path for file in get_cached_repo_tree(repo.id, **where)]
    except errors.CachedRepoTreeNotFoundError:  # cached by a client that kept no list of files
        return []
    found = filter_repo_objects(names, allow_patterns=list(patterns))
    missing = {name for name in found if not (folder / name).exists()}
    # The list in the cache does not say by which digest a large file is named.
    tree = HfApi().list_repo_tree(repo.id, recursive=True, **where) if missing else ()
    return [file for file in tree if file.path in missing and isinstance(file, RepoFile)]
