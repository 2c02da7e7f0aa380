"""mlx-lm's LoRA configuration as a recipe."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import validate
from yofo_mlx.recipe.lora_config import DEFAULTS, from_config

CONFIG = """
model: "tiny"
train: true
optimizer: adamw
optimizer_config:
  adamw: {betas: [0.9, 0.98], eps: 1e-6, weight_decay: 0.05}
data: "rows"
seed: 3
num_layers: 4
batch_size: 2
iters: 1000
val_batches: 25
learning_rate: 1e-5
adapter_path: "adapters"
max_seq_length: 512
grad_accumulation_steps: 4
colour: red
lora_parameters: {keys: [self_attn.q_proj], rank: 4, scale: 10.0, dropout: 0.1}
lr_schedule: {name: cosine_decay, warmup: 25, arguments: [1e-4, 250, 1e-6]}
"""


def recipe(**changes: Any) -> Any:
    made = from_config(yaml.safe_load(CONFIG) | changes)
    return validate(made.as_dict(), "x"), made.told


def test_each_key_has_its_counterpart_or_is_told() -> None:
    made, told = recipe()
    assert (made.model, made.seed, made.tasks[0].source) == ("tiny", 3, "rows")
    assert (made.lora.rank, made.lora.scale, made.lora.dropout) == (4, 10.0, 0.1)
    assert (made.lora.num_layers, made.lora.keys) == (4, ("self_attn.q_proj",))
    assert made.episodes.max_tokens == 512
    own = made.optimizer
    assert (own.learning_rate, own.betas, own.eps) == (1e-4, (0.9, 0.98), 1e-6)
    assert (own.weight_decay, own.schedule, own.warmup, own.final) == (0.05, "cosine", 0.1, 0.01)
    # mlx-lm counts passes, four to an update.
    assert (made.train.steps, made.train.grad_accumulation_steps) == (250, 4)
    assert (made.train.eval_every, made.train.checkpoint_every) == (50, 25)
    assert told.keys() == {"val_batches", "adapter_path", "mask_prompt", "colour"}


def test_mlx_lm_s_defaults_are_written_out_where_a_recipe_s_differ() -> None:
    made = validate(from_config({}).as_dict(), "x")
    assert made.model == DEFAULTS["model"] and made.lora.num_layers == 16
    assert (made.optimizer.learning_rate, made.optimizer.betas) == (1e-5, (0.9, 0.999))
    assert (made.optimizer.schedule, made.optimizer.weight_decay) == ("constant", 0.0)
    assert (made.train.steps, made.train.batch_size, made.episodes.max_tokens) == (1000, 4, 2048)


def test_mlx_lm_s_own_defaults_are_these() -> None:
    from mlx_lm.lora import CONFIG_DEFAULTS

    assert {key: CONFIG_DEFAULTS[key] for key in DEFAULTS} == DEFAULTS


def test_other_schedules_optimizers_and_data_sets() -> None:
    linear = {"name": "linear_schedule", "arguments": [1e-4, 5e-5, 250]}
    made, _ = recipe(lr_schedule=linear, mask_prompt=True)
    assert (made.optimizer.schedule, made.optimizer.final) == ("linear", 0.5)
    made, told = recipe(lr_schedule={"name": "step_decay", "arguments": [1e-4, 0.5, 9]})
    assert made.optimizer.schedule == "constant" and "step_decay is not there" in str(told)
    _, told = recipe(lr_schedule={"name": "cosine_decay", "arguments": [1e-4, 50]})
    assert "ended after 50 steps" in told["lr_schedule"]
    made, told = recipe(optimizer="muon")
    assert made.optimizer.betas == (0.9, 0.999) and "muon is not there" in told["optimizer"]
    hub = {"path": "owner/name", "train_split": "train[:500]", "valid_split": "dev"}
    hub |= {"prompt_feature": "text", "completion_feature": "summary", "config": {"name": "en"}}
    made, _ = recipe(hf_dataset=[hub, {"path": "owner/other"}])
    first, second = made.tasks
    assert (first.input, first.output, first.config, first.limit) == ("text", "summary", "en", 500)
    assert first.splits == {"train": "train", "valid": "dev"} and second.source == "owner/other"
    made, _ = recipe(resume_adapter_file="old/adapters.safetensors", fine_tune_type="dora")
    assert made.init_adapter == "old" and made.lora.fine_tune_type == "dora"


@pytest.mark.parametrize(
    "wrong",
    [
        {"fine_tune_type": "full"},
        {"lora_parameters": {"rank": 8, "alpha": 16}},
        {"iters": "many"},
        {"grad_accumulation_steps": 0},
        {"lr_schedule": ["cosine"]},
        {"lora_parameters": 8},
    ],
)
def test_what_mlx_lm_would_not_take_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        recipe(**wrong)


def test_the_verb_writes_a_recipe_that_runs(
    yofo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    rows = "".join(f'{{"prompt": "q {i}", "completion": "{i % 3}"}}\n' for i in range(20))
    (tmp_path / "rows/train.jsonl").write_text(rows)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    code, out, err = yofo("recipes", "import", "mine.yaml")
    assert code == 0 and out == "mine.toml\n" and "colour: mlx-lm has no such key" in err
    code, _, err = yofo("recipes", "import", "mine.yaml")
    assert code == 2 and "exists already" in err and len(err.splitlines()) == 2
    assert yofo("recipes", "check", "mine.toml")[0] == 0
    code, out, _ = yofo("recipes", "import", "mine.yaml", "--out", "-")
    assert code == 0 and out == (tmp_path / "mine.toml").read_text()
    (tmp_path / "below").mkdir()
    assert yofo("recipes", "import", "mine.yaml", "--out", "below/x.toml")[0] == 0
    assert 'source = "../rows"' in (tmp_path / "below/x.toml").read_text()
    for name, text in (
        ("nowhere.yaml", None),
        ("bad.yaml", "a: [1"),
        ("list.yaml", "- 1"),
        (".", ""),
    ):
        if text:
            (tmp_path / name).write_text(text)
        code, _, err = yofo("recipes", "import", name)
        assert code == 2 and len(err.splitlines()) == 2, name
