"""First settings of a run for data that nobody has trained on: a model, a length, a batch."""

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from yofo_mlx.recipe.compose import compose
from yofo_mlx.recipe.file import find_recipe, shipped_recipes
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.tasks.task import Example

USUAL = "mistral"  # the shipped recipe that is followed where none has the model
PASSES = 3  # over the training examples
FEWEST, MOST, ROUND = 100, 1000, 50  # updates
TOKEN = 4  # characters, about
VALIDATIONS = 4
BATCH = ("batch_size", "grad_accumulation_steps", "batch_tokens")

Settings = dict[str, dict[str, Any]]


def usual_model() -> str:
    """Return the model that is taken where nobody names one."""
    return str(_read(find_recipe(USUAL))["model"])


def choose(
    model: str, examples: Iterable[Example], wanted: int | None = None
) -> tuple[Settings, str]:
    """Return the sections of a recipe, and in words how long it is.

    They follow the shipped recipe of the model, and are fitted to the examples to train on, unless
    so many steps are wanted.
    """
    own = next((data for data in map(_read, shipped_recipes()) if data["model"] == model), None)
    base = own or _read(find_recipe(USUAL))
    kept = ("lora", "template", "episodes", "objective", "optimizer")
    sections = {name: _changed(name, base.get(name, {})) for name in kept}
    sections["episodes"].pop("label_subset", None)  # these data may have fewer labels
    if own is None:  # the rest is that model's alone
        sections = {name: sections[name] for name in ("lora", "optimizer")}
    usual = Recipe.model_fields["episodes"].default.max_tokens
    longest = sections.get("episodes", {}).get("max_tokens", usual)
    if own is None and (context := _context(model)) and context < longest:
        longest = context
        sections["episodes"] = {"max_tokens": context}
    batch = {key: base["train"][key] for key in BATCH if base["train"].get(key, 1) > 1}
    tokens = sum(len(one.input) + len(one.output) for one in examples) / TOKEN
    an_update = batch.get("batch_tokens") or min(longest / 2, tokens) * math.prod(batch.values())
    steps = ROUND * math.ceil(PASSES * tokens / an_update / ROUND) if tokens else FEWEST
    steps = min(max(steps, FEWEST), MOST)
    steps = wanted or steps
    passes = steps * an_update / max(tokens, 1)
    words = f"about {passes:,.1f} times over {tokens:,.0f} tokens, at {TOKEN} characters a token"
    sections["train"] = {"steps": steps, **batch}
    sections["train"]["eval_every"] = max(1, steps // VALIDATIONS)
    return {name: keys for name, keys in sections.items() if keys}, words


def _read(path: Path) -> dict[str, Any]:
    return compose([path]).data


def _changed(section: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a section that are not as they are without it."""
    usual = Recipe.model_fields[section].default.model_dump(mode="json")
    return {key: value for key, value in keys.items() if value != usual[key]}


def _context(model: str) -> int | None:
    """Return the trained length of a model that is here, where its configuration says it."""
    with suppress(OSError, ValueError, AttributeError):
        config = json.loads(Path(model, "config.json").read_bytes())
        found = config.get("text_config", config).get("max_position_embeddings")
        return found if isinstance(found, int) and found > 0 else None
    return None
