"""How much would be downloaded for a data set of the hub."""

from typing import Any

from yofo_mlx.hub import contents
from yofo_mlx.hub.cached import cached_repos
from yofo_mlx.hub.errors import Repo
from yofo_mlx.tasks.reading.layout import is_data


def size(id: str, revision: str | None = None) -> dict[str, Any]:
    """Return the bytes of a hub data set's files of data, how many they are, and what is here."""
    here = [repo.nbytes for repo in cached_repos() if (repo.kind, repo.id) == ("dataset", id)]
    sizes = contents.sizes(Repo("dataset", id, revision))
    data = [nbytes for name, nbytes in sizes.items() if is_data(name)]
    return {"nbytes": sum(data), "files": len(data), "here": sum(here)}
