"""An exported folder on the hub: by its own client, with its own token, only when asked."""

import re
from pathlib import Path

from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.hub.client import asking
from yofo_mlx.hub.errors import Repo
from yofo_mlx.system.talk import quoted, say

_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


def check_upload(repo: str) -> None:
    """Refuse a name that the hub cannot have, and an upload without a token it takes."""
    if not _ID.fullmatch(repo) or len(repo) > 96 or "--" in repo or ".." in repo:
        raise RecipeError(f"'{repo}' is no name on the hub", "give OWNER/NAME")
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise YofoError(
            f"{repo}: the hub lets nobody write without a token",
            "log in once: `hf auth login`, or set HF_TOKEN",
        )
    with asking(Repo("model", repo, is_written=True)):
        HfApi().whoami()


def upload(folder: Path, repo: str, *, public: bool) -> str:
    """Upload a folder as a model, in one commit; return the page it is on."""
    from huggingface_hub import HfApi

    api, where = HfApi(), Repo("model", repo, is_written=True)
    try:
        with asking(where):
            url = api.create_repo(repo, private=not public, exist_ok=True)
            api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Exported by yofo")
    except YofoError as error:
        raise YofoError(
            error.message, f"{folder} is whole: `hf upload {quoted(repo, folder)}` tries again"
        ) from error
    say(f"{repo}: uploaded, {'for everybody to see' if public else 'private where it is new'}")
    return str(url)
