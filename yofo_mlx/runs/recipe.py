"""The recipe of a run: every name in it looked up, the shape of what it begins with filled in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.recipe.compose import Composed, compose
from yofo_mlx.recipe.file import OF_THE_MODEL, Key, Origins, apply_override, find_recipe, validate
from yofo_mlx.recipe.names import EMBEDDED, absolute
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.init_adapter import find_adapter, shape_of
from yofo_mlx.system.talk import quoted, say


@dataclass(frozen=True)
class RecipeRequest:
    """Recipes, later ones on top of earlier ones, with changes, as somebody wrote them."""

    names: Sequence[str]
    overrides: Sequence[str] = ()

    def load(self) -> Recipe:
        """Read and validate what they are together."""
        return load_recipe(self.paths, self.overrides)

    def of_ranks(self, count: int) -> "RecipeRequest":
        """Return what so many processes train together: updates with as many times the passes."""
        if count == 1:
            return self
        train = self.load().train
        key = "batch_tokens" if train.batch_tokens else "grad_accumulation_steps"
        larger = f"train.{key}={count * getattr(train, key)}"
        say(f"{count} ranks share every update: {larger}")
        return RecipeRequest(self.names, [*self.overrides, larger])

    @property
    def run_name(self) -> str:
        """Return what a run of them is called."""
        return "-".join(dict.fromkeys(path.stem for path in self.paths))

    @property
    def data_name(self) -> str:
        """Return the recipe whose data sets they are."""
        origins = compose(self.paths).origins if len(self.names) > 1 else {}
        return str(origins.get(("tasks",), self.names[-1]))

    @property
    def paths(self) -> list[Path]:
        """Return their files."""
        return [find_recipe(name) for name in self.names]

    def __str__(self) -> str:
        """Return the words of a command line that say the same."""
        changes = [word for override in self.overrides for word in ("--set", override)]
        return quoted(*self.names, *changes)


def load_recipe(paths: Path | Sequence[Path], overrides: Sequence[str] = ()) -> Recipe:
    """Read and validate recipe files with `section.key=value` overrides on top."""
    paths = [paths] if isinstance(paths, Path) else paths
    return _resolve(compose(paths), paths, overrides)


def load_part(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file of which a part is needed, such as its data sets; the rest may be out."""
    rest = {"model": EMBEDDED, "train": {"steps": 1}}
    return _resolve(compose([path], rest), [path], overrides)


def _resolve(whole: Composed, paths: Sequence[Path], overrides: Sequence[str]) -> Recipe:
    place = ", ".join(map(str, paths))
    return resolve(whole.data, place, paths[-1].parent, overrides, whole.origins)


def resolve(
    data: dict[str, Any],
    place: str,
    folder: Path | None,
    overrides: Sequence[str] = (),
    origins: Origins | None = None,
) -> Recipe:
    """Validate parsed TOML with overrides on top, and write down once what its names stand for.

    Paths are relative to the folder of the file that they are from, without `origins` to `folder`,
    else to the current one; an override's the other way round. A folder that is there is a model
    before an id on the hub is. What is relative afterwards is an id, wherever the recipe is used:
    without `folder` this was done before, and only what the overrides name is looked up.
    """
    origins = origins or {}
    model = data.get("model")
    given = [apply_override(data, override) for override in overrides]
    if folder and model and data["model"] != model:
        for key in OF_THE_MODEL:
            if (key,) not in given:
                data.pop(key, None)
    recipe = validate(data, place, _with_overrides(origins, given))

    def find(name: str, *key: str | int) -> str:
        origin = origins.get(key) or origins.get(key[:1])
        own = origin.parent if isinstance(origin, Path) else folder
        starts = [own, Path.cwd()] if own else []
        is_given = any(key[: len(one)] == one for one in given)
        return absolute(name, [Path.cwd(), *starts] if is_given else starts)

    tasks = tuple(
        task.model_copy(update={"source": find(task.source, "tasks", index, "source")})
        for index, task in enumerate(recipe.tasks)
    )
    found: dict[str, Any] = {"tasks": tasks, "model": find(recipe.model, "model")}
    if recipe.init_adapter and (folder or ("init_adapter",) in given):
        adapter = find_adapter(recipe.init_adapter, find(recipe.init_adapter, "init_adapter"))
        lora = shape_of(adapter, recipe.lora)
        found |= {"init_adapter": str(adapter.absolute()), "lora": lora}
    if recipe.study and recipe.study.forgetting:
        texts = find(recipe.study.forgetting, "study", "forgetting")
        found["study"] = recipe.study.model_copy(update={"forgetting": texts})
    return recipe.model_copy(update=found)


def _with_overrides(origins: Origins, given: Sequence[Key]) -> Origins:
    """Return where each key is from, also what `--set` gave."""
    kept = {
        key: place
        for key, place in origins.items()
        if not any(key[: len(one)] == one for one in given)
    }
    return kept | dict.fromkeys(given, "--set")
