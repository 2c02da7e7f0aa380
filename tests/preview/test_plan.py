"""Plan and episode of a recipe in the making, as the process that previews gives them."""

import json
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.errors import RecipeError, YofoError
from yofo_mlx.planning.speeds import Speed, keep_probe
from yofo_mlx.preview.episode import episode
from yofo_mlx.preview.plan import measure, plan


def recipe(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    usual = {"model": "tiny", "train": {"steps": 3}, "episodes": {"max_tokens": 256}}
    return json.loads(json.dumps({**usual, **more, "tasks": list(tasks)}))


TRAINED = {"source": "tiny:topic-01"}


def test_the_forecast_needs_no_data_and_says_how_fast_it_was_before() -> None:
    facts = plan(recipe({"source": "nowhere.csv"}))
    assert facts["fits"] and facts["counted"] == "bounds" and facts["tokens"] == 3 * 256
    assert facts["is_here"] and facts["free_gb"] > 0
    assert facts["speed"] is facts["tokens_per_s"] is facts["seconds_total"] is None
    keep_probe(Speed(1.0, "probe", "probe", "tiny", 256, 1.0))
    told = plan(recipe(TRAINED))
    assert told["speed"]["words"] == "from a probe, episodes of 256 tokens"
    assert told["seconds_total"] == pytest.approx(3 * 256 / told["tokens_per_s"], abs=0.06)
    far = recipe(TRAINED, episodes={"max_tokens": 64 * 256})
    assert plan(far)["tokens_per_s"] < told["tokens_per_s"] / 4  # attention
    assert plan(far)["warnings"][0][0].startswith("episodes may have 16384 tokens")


def test_a_model_that_is_nowhere_near_is_planned_for_if_a_shipped_recipe_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*args: Any, **more: Any) -> None:
        raise YofoError("the hub is out of reach")

    monkeypatch.setattr("yofo_mlx.preview.plan.plan_here", away)
    facts = plan(recipe(TRAINED, model="mlx-community/Mistral-7B-Instruct-v0.3-4bit"))
    assert not facts["is_here"] and facts["trainable_parameters"] > 1e7 and not facts["warnings"]
    with pytest.raises(YofoError, match="out of reach"):
        plan(recipe(TRAINED, model="somebody/something"))
    with pytest.raises(YofoError, match="not on this disk"):
        measure(recipe(TRAINED, model="somebody/something"))


def test_an_episode_comes_with_sizes_of_its_data_sets_and_a_forecast_of_what_is_drawn() -> None:
    held_out = {"source": "tiny:new-topic-01", "role": "held_out"}
    facts = episode(recipe(TRAINED, held_out))
    shown = facts["episode"]
    text = "".join(piece for piece, _ in shown["pieces"])
    answers = [piece for piece, is_target in shown["pieces"] if is_target]
    assert text.count("Output:") == len(answers) == shown["shots"] + 1
    assert facts["plan"]["counted"] == "drawn" and facts["mean"]["updates"] > 1
    trained, asked = facts["sources"]
    assert trained["rows"] == asked["rows"] == 120
    assert 0 < trained["shots"] < 120 and asked["role"] == "held_out"
    assert episode(recipe(TRAINED, held_out), step=1)["episode"]["pieces"] != shown["pieces"]
    json.dumps(facts)


def test_what_cannot_be_read_is_told_of_its_source_and_the_hub_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("input,output\nx,y\nz,\n")
    facts = episode(recipe(TRAINED, {"source": "bad.csv"}, {"source": "owner/name"}))
    states = [one["state"] for one in facts["sources"]]
    assert states == ["read", "wrong", "on the hub"]
    assert "bad.csv:3" in facts["sources"][1]["why"][0]
    assert "episode" not in facts and facts["plan"]["counted"] == "bounds"
    twice = episode(recipe(TRAINED, TRAINED))
    assert twice["wrong"] and "episode" not in twice
    with pytest.raises(RecipeError, match="must be a number"):
        plan(recipe(TRAINED, optimizer={"learning_rate": "fast"}))
