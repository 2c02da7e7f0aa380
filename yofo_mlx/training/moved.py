"""The model of a run in another place: kept there too, if it is the very one."""

import json

from yofo_mlx.errors import RunError
from yofo_mlx.models.base import model_path
from yofo_mlx.prompting.fingerprint import model_fingerprint
from yofo_mlx.runs import lock
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import ModelInfo
from yofo_mlx.runs.trained import rewrite, trained


def move_model(run: Run, place: str) -> str:
    """Have a run that nobody trains go by the place where its model is now; return that."""
    recipe = trained(run, [f"model={json.dumps(place)}"]).recipe
    path, before = model_path(recipe.model), run.info().model
    now = ModelInfo(name=recipe.model, path=str(path), fingerprint=model_fingerprint(path))
    if before and before.fingerprint not in ("", now.fingerprint):
        raise RunError(
            f"the model in {recipe.model} is not the one that run {run.run_id} was trained on",
            "a run goes on with its own alone; chat and eval take any: `--model PLACE`",
        )
    with lock.locked(run.path):
        rewrite(run, recipe, **({"model": now} if before else {}))
    return recipe.model
