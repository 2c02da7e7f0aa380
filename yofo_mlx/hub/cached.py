"""What the hub's client keeps in its cache; nobody is asked, nothing is downloaded."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CachedRepo:
    """A model or data set in the cache, in all the revisions that are there."""

    kind: str  # model, dataset
    id: str
    path: Path
    nbytes: int
    used: float  # seconds since the epoch
    snapshots: tuple[Path, ...]  # newest first


def cached_repos() -> list[CachedRepo]:
    """Return what is in the cache, the largest first; of one that is damaged, what can be read."""
    from huggingface_hub import constants, scan_cache_dir

    if not Path(constants.HF_HUB_CACHE).is_dir():
        return []
    found = [
        CachedRepo(
            repo.repo_type,
            repo.repo_id,
            repo.repo_path,
            repo.size_on_disk,
            repo.last_accessed,
            tuple(
                one.snapshot_path
                for one in sorted(repo.revisions, key=lambda one: one.last_modified, reverse=True)
            ),
        )
        for repo in scan_cache_dir().repos
    ]
    return sorted(found, key=lambda repo: repo.nbytes, reverse=True)
