"""The model card of an export: base, method, recipe, and what it was trained on."""

import json
from pathlib import Path
from typing import Any

from yofo_mlx import __version__
from yofo_mlx.recipe.names import is_on_hub
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.recipe.ways import Form
from yofo_mlx.runs.folder import Run
from yofo_mlx.system.text import printable

FENCE = "```"
LIBRARIES = {"fused": "mlx", "peft": "peft"}
CONTENTS = {
    "fused": "base and adapter in one, for mlx-lm (and transformers, where they are not quantized)",
    "peft": "the adapter in PEFT's form",
    "gguf-adapter": "the adapter in llama.cpp's form: `--lora adapter.gguf` beside the base",
    "gguf": "base and adapter in one, for llama.cpp",
    "ollama": "base and adapter in one: `ollama create NAME -f Modelfile`",
}


def card(form: Form, recipe: Recipe, run: Run | None, facts: str) -> str:
    """Return README.md: front matter that the hub reads, then words."""
    base = _name(recipe.model)
    front = [f"library_name: {LIBRARIES.get(form, 'gguf')}", "tags:", "- yofo", "- lora"]
    if is_on_hub(recipe.model):
        relation = "adapter" if form in ("peft", "gguf-adapter") else "finetune"
        front += [f"base_model: {json.dumps(base)}", f"base_model_relation: {relation}"]
    parts = [
        "---", *front, "---", "",
        f"# {run.run_id if run else f'An adapter of {base}'}", "",
        f"{base}, tuned once with many-shot episodes (ManyICFT, arXiv 2506.11103) by yofo"
        f" {__version__}: show it demonstrations of a task in the context of each query.", "",
        f"Here is {CONTENTS[form]}.", "", *([facts, ""] if facts else []),
        "## Prompt", "", *_block(recipe.template.model_dump(mode="json")), "",
    ]  # fmt: skip
    if run:
        parts += ["## Recipe and data", "", *_block(_told(run)), ""]
    return printable("\n".join(parts), keep="\n")


def _told(run: Run) -> dict[str, Any]:
    """Return what run.json says of the recipe and the data, without a path of this machine."""
    info = run.info()
    recipe = dict(info.recipe or {})
    recipe.pop("tasks", None)  # their fingerprints tell the data
    for key in ("model", "init_adapter"):
        if recipe.get(key):
            recipe[key] = _name(str(recipe[key]))
    model = info.model.fingerprint if info.model else ""
    return {"recipe": recipe, "model_fingerprint": model, "data_fingerprints": info.data or {}}


def _name(name: str) -> str:
    return name if is_on_hub(name) else Path(name).name


def _block(value: Any) -> list[str]:
    return [f"{FENCE}json", json.dumps(value, indent=2, ensure_ascii=False), FENCE]
