"""mlx-lm's configuration of a LoRA training, as the keys of a recipe; what has none is told.

Its keys and defaults: https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/LORA.md
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.errors import RecipeError

Table = dict[str, Any]
DEFAULTS: Table = {
    "model": "Qwen/Qwen3-0.6b",
    "fine_tune_type": "lora",
    "optimizer": "adam",
    "data": "mlx-community/WikiSQL",
    "seed": 0,
    "num_layers": 16,
    "batch_size": 4,
    "iters": 1000,
    "learning_rate": 1e-5,
    "steps_per_eval": 200,
    "save_every": 100,
    "max_seq_length": 2048,
    "grad_accumulation_steps": 1,
    "lora_parameters": {"rank": 8, "dropout": 0.0, "scale": 20.0},
}
SILENT = ("train", "test", "config", "steps_per_report", "clear_cache_threshold", "seed")
ELSEWHERE = {  # what there is instead
    "adapter_path": "each run has a folder of its own; `yofo train --name` names it",
    "val_batches": "a validation asks `evaluation.queries` of each task",
    "test_batches": "`yofo eval last` measures",
    "grad_checkpoint": "`memory.method` is found by itself",
    "report_to": "a run's events are in its folder",
    "project_name": "a run is named by `yofo train --name`",
}
SCHEDULES = {"cosine_decay": "cosine", "linear_schedule": "linear"}
SPLITS = {"train_split": "train", "valid_split": "valid", "test_split": "test"}
PARTS = {"prompt_feature": "input", "completion_feature": "output"}


@dataclass
class Imported:
    """A recipe to be: its tables, and what was not taken over as it is, by key of mlx-lm's."""

    top: Table
    sections: dict[str, Table]
    tasks: list[Table]
    told: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> Table:
        """Return the recipe as one table."""
        return {**self.top, **self.sections, "tasks": self.tasks}


def from_config(given: Table) -> Imported:
    """Return a recipe for a configuration; one that trains no adapter is refused."""
    config = DEFAULTS | {key: value for key, value in given.items() if value is not None}
    try:
        return _from(config, given)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise RecipeError(
            f"it is no configuration of mlx-lm's: {type(error).__name__}: {error}",
            "mlx_lm.lora --config takes the same file: mend what that complains of",
        ) from error


def _from(config: Table, given: Table) -> Imported:
    kind = config["fine_tune_type"]
    if kind not in ("lora", "dora"):
        raise RecipeError(f"fine_tune_type is {kind!r}: yofo trains adapters", "lora, or dora")
    every = int(config["grad_accumulation_steps"])
    updates = max(1, int(config["iters"]) // every)
    made = Imported({"model": str(config["model"])}, {}, _tasks(config))
    if given.get("seed"):
        made.top["seed"] = int(given["seed"])
    if given.get("trust_remote_code"):
        made.top["trust_remote_code"] = True
    if name := given.get("resume_adapter_file"):
        made.top["init_adapter"] = str(Path(str(name)).parent)
    own = config["lora_parameters"]
    lora = {"rank": int(own["rank"]), "scale": float(own["scale"])}
    made.sections["lora"] = (
        ({"fine_tune_type": kind} if kind == "dora" else {})
        | lora
        | ({"dropout": float(own["dropout"])} if own.get("dropout") else {})
        | {"num_layers": int(config["num_layers"])}
        | ({"keys": [str(key) for key in own["keys"]]} if own.get("keys") else {})
    )
    made.sections["episodes"] = {"max_tokens": int(config["max_seq_length"])}
    made.sections["optimizer"] = _optimizer(config, updates, made.told)
    made.sections["train"] = {
        "steps": updates,
        "batch_size": int(config["batch_size"]),
        **({"grad_accumulation_steps": every} if every > 1 else {}),
        "eval_every": max(1, int(config["steps_per_eval"]) // every),
        "checkpoint_every": max(1, int(config["save_every"]) // every),
    }
    _tell(given, made.told)
    return made


def _optimizer(config: Table, updates: int, told: dict[str, str]) -> Table:
    """Return AdamW's keys, with mlx-lm's own defaults where they differ from a recipe's."""
    name = str(config["optimizer"]).lower()
    own = (config.get("optimizer_config") or {}).get(name) or {}
    if name not in ("adam", "adamw"):
        told["optimizer"] = f"{name} is not there: AdamW with its usual rates"
        own = {}
    decay = float(own.get("weight_decay", 0.01 if name == "adamw" else 0.0))
    betas = [float(one) for one in own.get("betas", (0.9, 0.999))]
    if own.keys() - {"betas", "eps", "weight_decay"}:
        told["optimizer_config"] = "taken over: betas, eps, weight_decay"
    keys = {"learning_rate": float(config["learning_rate"]), "betas": betas}
    keys |= {"eps": float(own["eps"])} if "eps" in own else {}
    keys |= {"weight_decay": decay} if decay else {}
    return keys | _schedule(config.get("lr_schedule"), updates, keys, told)


def _schedule(given: Any, updates: int, keys: Table, told: dict[str, str]) -> Table:
    """Return the schedule; it changes `keys` where the schedule has a learning rate of its own."""
    constant = {"schedule": "constant", "warmup": 0.0}
    if not given:
        return constant
    values = [float(one) for one in given["arguments"]]
    warmup = round(min(1.0, float(given.get("warmup") or 0) / updates), 4)
    name = given["name"]
    if name not in SCHEDULES:
        told["lr_schedule"] = f"{name} is not there: constant"
        return constant | {"warmup": warmup}
    # cosine_decay(init, steps, end), linear_schedule(init, end, steps)
    peak = values[0]
    end, steps = (values[1], values[2]) if name == "linear_schedule" else (0.0, values[1])
    if name == "cosine_decay" and len(values) > 2:
        end = values[2]
    keys["learning_rate"] = peak
    if steps + warmup * updates < 0.9 * updates:
        told["lr_schedule"] = f"it ended after {steps:g} steps; here it goes on to the last"
    return {"schedule": SCHEDULES[name], "warmup": warmup, "final": round(end / peak, 6)}


def _tasks(config: Table) -> list[Table]:
    sets = config.get("hf_dataset")
    if not sets:
        return [{"source": str(config["data"])}]
    return [_task(one) for one in (sets if isinstance(sets, list) else [sets])]


def _task(given: Table) -> Table:
    """Return the table of a data set of the hub's, slices of its splits left out."""
    table: Table = {"source": str(given.get("path") or given["name"])}
    table |= {there: str(given[here]) for here, there in PARTS.items() if given.get(here)}
    splits = {
        there: re.sub(r"\[.*", "", str(given[here]))
        for here, there in SPLITS.items()
        if given.get(here)
    }
    if any(key != value for key, value in splits.items()):
        table["splits"] = splits
    if isinstance(given.get("config"), dict) and given["config"].get("name"):
        table["config"] = str(given["config"]["name"])
    if match := re.search(r"\[:(\d+)\]", str(given.get("train_split"))):
        table["limit"] = int(match[1])
    return table


def _tell(given: Table, told: dict[str, str]) -> None:
    """Say what there is instead of keys that have no counterpart."""
    known = {*DEFAULTS, *SILENT, *ELSEWHERE, "mask_prompt", "hf_dataset", "lr_schedule"}
    known |= {"optimizer_config", "resume_adapter_file", "trust_remote_code"}
    told |= {key: words for key, words in ELSEWHERE.items() if given.get(key)}
    if not given.get("mask_prompt"):
        told["mask_prompt"] = (
            'answers alone are targets; inputs too: objective = { targets = "tokens", normalize ='
            ' "token" }'
        )
    told |= {str(key): "mlx-lm has no such key" for key in given if key not in known}
