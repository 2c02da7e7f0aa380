"""`yofo recipes import`: mlx-lm's LoRA configuration as a recipe a person would have written."""

import tomllib
from pathlib import Path

from yofo_mlx.commands.draft import beside
from yofo_mlx.commands.recipes import hand_over, refuse_existing
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.recipe.lora_config import Imported, from_config
from yofo_mlx.recipe.names import absolute
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.system import toml
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import printable, reason

HEAD = "From {} by `yofo recipes import`; `yofo recipes explain` says what each key means."
SHOTS = """\
# Episodes hold as many demonstrations as fit. One example each, as mlx-lm trains: max_shots = 0"""


def take_over(path: Path, out: Path | None) -> ExitCode:
    """Write a recipe for a configuration, never over a file that exists; `-` is stdout."""
    made = _read(path)
    target = None if out == Path("-") else out or Path(f"{path.stem}.toml")
    if target:
        if target.suffix != ".toml":
            raise RecipeError(f"{target} is no name of a recipe", "end it in .toml")
        refuse_existing(target, "give another name: --out FILE.toml")
    folder = target.parent if target else Path()
    # mlx-lm's paths are from where it is called; a recipe's are from its own folder.
    made.top["model"] = beside(folder, made.top["model"])
    for task in made.tasks:
        task["source"] = beside(folder, task["source"])
    if "init_adapter" in made.top:
        made.top["init_adapter"] = beside(folder, absolute(made.top["init_adapter"], [Path.cwd()]))
    text = _text(made, path.name)
    resolve(tomllib.loads(text), str(target or path), folder)
    for key, words in made.told.items():
        say(f"{key}: {words}")
    return hand_over(text, target, "plan")


def _read(path: Path) -> Imported:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError(
            f"{path}: {error.strerror or reason(error)}", "check the path and its permissions"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise RecipeError(f"{path} is no YAML: {words[:200]}", "mend the line it names") from error
    if not isinstance(found, dict):
        raise RecipeError(f"{path} holds no keys", "name the file that mlx_lm.lora --config takes")
    try:
        return from_config(found)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error.message}", error.hint) from error


def _text(made: Imported, name: str) -> str:
    parts = [f"# {HEAD.format(printable(name))}\n", toml.pairs(made.top)]
    for section, keys in made.sections.items():
        head = f"{SHOTS}\n" if section == "episodes" else ""
        parts.append(f"\n{head}[{section}]\n{toml.pairs(keys)}")
    parts += [f"\n[[tasks]]\n{toml.pairs(task)}" for task in made.tasks]
    return "\n".join(parts) + "\n"
