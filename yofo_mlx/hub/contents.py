"""What a repository of the hub holds, asked before anything of it is downloaded."""

from yofo_mlx.hub.client import asking
from yofo_mlx.hub.errors import Repo


def sizes(repo: Repo) -> dict[str, int]:
    """Return the bytes of every file of a repository by its name."""
    from huggingface_hub import HfApi, RepoFile

    with asking(repo):
        tree = HfApi().list_repo_tree(
            repo.id, recursive=True, repo_type=repo.kind, revision=repo.revision
        )
        return {file.path: file.size for file in tree if isinstance(file, RepoFile)}
