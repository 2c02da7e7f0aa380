"""The files of a draft: the recipe to save, the one that a run is started from, the one to edit."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import tomlkit
from textual.app import App

from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.recipe.compose import compose
from yofo_mlx.system import paths
from yofo_mlx.system.files import write_text
from yofo_mlx.system.text import escaped

from ..shared import editor
from . import new_draft
from .new_draft import Draft
from .new_keys import all_keys, as_text
from .new_text import move, text_of


def save(draft: Draft, path: Path) -> Draft:
    """Write a draft's recipe, over no file but its own; return the draft that the file is."""
    if path.suffix != ".toml":
        raise RecipeError(f"{path.name} is no name of a recipe", "end it in .toml")
    if path.exists() and not _is_own(draft, path):
        raise RecipeError(f"{path} exists already", "give another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text_of(draft, path.parent))
    except OSError as error:
        raise RecipeError(
            f"{error.filename or path}: {error.strerror}", "choose another place"
        ) from error
    saved = new_draft.begin(path, {}, [])
    saved.name = draft.name
    return saved


def _is_own(draft: Draft, path: Path) -> bool:
    return path.exists() and draft.recipe.exists() and path.samefile(draft.recipe)


def file_of(draft: Draft) -> Path:
    """Return the recipe that a run of a draft is started from: its own, or one that is written."""
    if not draft.is_changed:
        return draft.recipe
    path = _place(draft)
    write_text(path, escaped(tomlkit.dumps(draft.whole()), keep="\n"))
    return path


def edit(app: App[Any], draft: Draft, *, again: bool = False) -> Draft:
    """Let the user edit a draft's recipe in their editor; return the draft that says the same.

    `again`: go on with the text as it was left, which could not be read.
    """
    path = _place(draft)
    if not (again and path.is_file()):
        write_text(path, text_of(draft, path.parent))
    if why_not := editor.edit(app, path):
        raise YofoError(why_not, f"the text is in {path}")
    return taken_over(draft, path)


def taken_over(draft: Draft, path: Path) -> Draft:
    """Return a draft with what a file says otherwise than the draft's recipe."""
    said = compose([path]).data
    move(said, path.parent, draft.recipe.parent)
    draft = deepcopy(draft)
    draft.changes = {}
    for key in all_keys():
        now, before = new_draft.look_up(said, key), draft.before(key)
        if not key.startswith("tasks.") and as_text(now) != as_text(before):
            given = new_draft.look_up(draft.base.data, key)
            if now is not None or given is not None:
                draft.changes[key] = now
    tasks = said.get("tasks", [])
    draft.tasks = None if tasks == draft.base.data.get("tasks") else tasks
    return draft


def _place(draft: Draft) -> Path:
    folder = paths.home() / "drafts"
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in draft.name).strip("-.")
    return folder / f"{name or 'run'}.toml"
