"""Token ids and positions inside a model's tables."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from tests.architectures.parts import SHAPE
from tests.chat_shapes import SHAPES, build, write_model
from tests.tiny_models import CONFIGS
from yofo_mlx.episodes.bounds import check_ids, check_tables
from yofo_mlx.errors import RecipeError
from yofo_mlx.models.base import load_base
from yofo_mlx.models.tables import model_tables
from yofo_mlx.prompting.loading import LoadedModel, Source
from yofo_mlx.recipe.file import find_recipe
from yofo_mlx.recipe.schema import Template
from yofo_mlx.runs.recipe import load_recipe

GPT2 = SHAPE | {"model_type": "gpt2"} | CONFIGS["gpt2"]


# mlx-lm's own code for BitNet runs on Metal alone.
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "bitnet"])
def test_the_tables_of_every_architecture_are_read_from_its_own_code(name: str) -> None:
    tables = model_tables(SHAPE | {"model_type": name.split("+")[0]} | CONFIGS[name])
    assert tables is not None
    assert tables.vocabulary == 97
    assert tables.positions == (512 if name in ("gpt2", "gpt_bigcode") else None)


def test_no_weight_of_a_large_model_is_made() -> None:
    large = {"model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 16}
    large |= {"intermediate_size": 28672, "num_attention_heads": 64, "vocab_size": 128256}
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    tables = model_tables(large | {"rms_norm_eps": 1e-5})
    assert tables is not None and tables.vocabulary == 128256
    assert mx.get_peak_memory() - before < 10e6


def test_a_model_that_cannot_be_made_is_left_to_the_loader() -> None:
    assert model_tables({"model_type": "nonesuch"}) is None


def test_episodes_beyond_learned_positions_are_refused() -> None:
    tokenizer = build(SHAPES["olmo 2"])
    config = GPT2 | {"vocab_size": len(tokenizer)}
    recipe = load_recipe(find_recipe("tiny"), ["episodes.max_tokens=512"])
    check_tables(recipe, tokenizer, config)
    for key in ("episodes.max_tokens", "evaluation.max_tokens"):
        longer = load_recipe(find_recipe("tiny"), ["episodes.max_tokens=512", f"{key}=513"])
        with pytest.raises(RecipeError, match=f"{key} is 513, but the model knows 512") as caught:
            check_tables(longer, tokenizer, config)
        assert caught.value.exit_code == 2


def test_a_prompt_ends_where_learned_positions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    base = load_base("tiny")
    source = Source("tiny", trained_context=4096)
    assert LoadedModel(source, base).limit == 4096
    learned = type(base)(base.name, base.path, base.model, base.tokenizer, base.config, 700)
    assert learned.context == 700
    assert LoadedModel(source, learned).limit == 700


@pytest.mark.parametrize("missing", range(3))
def test_the_first_id_without_a_row_is_one_too_many(tmp_path: Path, missing: int) -> None:
    tokenizer = write_model(tmp_path / "model", SHAPES["phi 4"])
    config: dict[str, Any] = dict(load_base(str(tmp_path / "model")).config)
    check_ids(Template(), tokenizer, config)
    config["vocab_size"] = len(tokenizer) - missing
    if missing == 0:
        check_ids(Template(), tokenizer, config)
    else:
        with pytest.raises(RecipeError, match=f"has {config['vocab_size']} rows"):
            check_ids(Template(), tokenizer, config)
        check_ids(Template(style="plain"), tokenizer, config)  # nothing gives its markers there
