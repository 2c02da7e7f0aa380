"""The model card of an export: base, method, recipe, and what it was trained on."""

import json
from typing import Any

from yofo_mlx import __version__
from yofo_mlx.recipe.names import is_on_hub
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.text import printable

FENCE = "```"


def write_card(base: str, form: str, recipe: Recipe, run: Run | None, facts: str) -> str:
    """Return README.md: front matter that the hub reads, then words."""
    library = "peft" if form == "PEFT" else "mlx"
    front = [f"library_name: {library}", "tags:", "- yofo", "- lora"]
    if is_on_hub(base):
        relation = "finetune" if form == "fused" else "adapter"
        front += [f"base_model: {json.dumps(base)}", f"base_model_relation: {relation}"]
    parts = [
        "---", *front, "---", "",
        f"# {run.run_id if run else 'An adapter'}", "",
        f"{base}, tuned once with many-shot episodes (ManyICFT, arXiv 2506.11103) by yofo"
        f" {__version__}; form: {form}. Show it demonstrations in the context of each query.",
        "", facts, "",
    ]  # fmt: skip
    parts += ["## Prompt", "", *_block("json", recipe.template.model_dump(mode="json")), ""]
    if run:
        parts += ["## Recipe and data", "", *_block("json", _told(run)), ""]
    return printable("\n".join(parts), keep="\n")


def _told(run: Run) -> dict[str, Any]:
    info = run.info()
    recipe = dict(info.recipe or {})
    recipe.pop("tasks", None)  # paths are of this machine; fingerprints tell the data
    return {"recipe": recipe, "data": info.data or {}}


def _block(language: str, value: Any) -> list[str]:
    return [f"{FENCE}{language}", json.dumps(value, indent=2, ensure_ascii=False), FENCE]
