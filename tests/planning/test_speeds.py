"""How fast a model was trained here, by probes and runs, and what they say of other recipes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.streams import FreeWriter
from yofo_mlx.planning import speeds
from yofo_mlx.planning.hours import hours_of, long_hours
from yofo_mlx.planning.planner import Planner, make_planner
from yofo_mlx.planning.speeds import Speed, keep_probe, known_speed
from yofo_mlx.planning.volume import Draw, volume_bounds, volume_of
from yofo_mlx.planning.work import Load, pass_work, token_work
from yofo_mlx.recipe.file import validate
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.launch import create_run
from yofo_mlx.system import paths
from yofo_mlx.system.environment import device


def recipe(max_tokens: int = 512, model: str = "tiny", **train: Any) -> Recipe:
    tasks = [{"source": "tiny:topic-01"}]
    data = {"model": model, "train": {"steps": 10} | train, "tasks": tasks}
    return validate(data | {"episodes": {"max_tokens": max_tokens}}, "")


@pytest.fixture(scope="module")
def planner() -> Planner:
    return make_planner(recipe())


def trained(of: Recipe, planner: Planner, factor: float, length: int, **info: Any) -> Run:
    """Return a run whose steps were so many times as fast as the model of work."""
    run = create_run(of, "fast")
    run.note(device=device(), **info)
    writer = FreeWriter(run.events_path)
    seconds = pass_work(planner, Load(length, 1, length // 4)) / factor
    for step, slow in enumerate((50.0, 1.1, 0.9, 1.0, 1.0, 900.0), 1):  # it compiles, it sleeps
        rate = length / (slow * seconds)
        told = {"tokens": length, "targets": length // 4, "shots": [3], "tokens_per_s": rate}
        writer.write("step", step=step, loss=1.0, **told)
    return run


def test_a_run_says_how_fast_one_of_another_length_will_be(planner: Planner) -> None:
    assert known_speed(recipe(), planner, 512) is None
    run = trained(recipe(), planner, 2.0, 400)
    speed = known_speed(recipe(4096), planner, 4096)
    assert speed and speed.factor == pytest.approx(2.0)
    assert (speed.source, speed.kind, speed.tokens) == (run.run_id, "run", 400)
    draws = [Draw(step, 0, 1500, 300, (9,), 1500) for step in range(10)]
    hours = hours_of(recipe(2048), planner, volume_of(recipe(2048), draws), draws, None)
    assert hours and hours.total == pytest.approx(10 * pass_work(planner, Load(1500, 1, 300)) / 2)
    assert hours.tokens_per_s == pytest.approx(15000 / hours.total) and not hours.is_long
    longer = trained(recipe(4096), planner, 3.0, 4000)
    nearest = known_speed(recipe(4096), planner, 4096)
    assert nearest and nearest.source == longer.run_id


def test_what_computes_in_another_type_says_nothing(planner: Planner) -> None:
    half = recipe().model_copy(update={"dtype": "bfloat16"})
    run = trained(half, planner, 2.0, 400)
    assert known_speed(recipe(), planner, 400) is None
    found = known_speed(half, planner, 400)
    assert found and found.source == run.run_id


def test_what_was_trained_elsewhere_or_is_damaged_says_nothing(planner: Planner) -> None:
    trained(recipe(), planner, 2.0, 400).note(device="Another Chip")
    broken = create_run(recipe(), "broken")
    FreeWriter(broken.events_path).write("step", step=2, tokens="x", shots=3, tokens_per_s=None)
    (paths.home() / "speeds.jsonl").write_text('{torn\n{"factor": 1}\n[]\n3\n')
    assert known_speed(recipe(), planner, 512) is None


def test_a_probe_is_kept_with_the_machine_that_it_was_made_on(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed = Speed(1.5, "probe", "probe", "tiny", 300, token_work(planner), t=5.0)
    keep_probe(probed)
    assert known_speed(recipe(), planner, 300) == probed
    other = recipe(model=str(Path("another")))
    found = known_speed(other, planner, 300)
    assert found and found.kind == "other model" and found.factor == 1.5
    large = replace(planner, shape=replace(planner.shape, hidden=4096, layers=32, trained=32))
    assert known_speed(other, large, 300) is None  # too unlike to say anything
    monkeypatch.setattr(speeds, "device", lambda: "Another Chip")
    assert known_speed(recipe(), planner, 300) is None


def test_a_chip_that_others_measured_is_named(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speeds, "device", lambda: "Apple M1 Max")
    monkeypatch.setattr(speeds, "CHIPS", {"Apple M1 Max": (1.0, token_work(planner))})
    volume = volume_bounds(recipe())
    hours = hours_of(recipe(), planner, volume, [], None)
    assert hours and hours.source.startswith("as an Apple M1 Max trains Qwen3-8B")
    assert hours.is_bound and hours.words.startswith("at most")


def test_only_a_run_of_more_than_a_day_is_long(planner: Planner) -> None:
    assert long_hours(recipe(), planner) is None  # nothing is known
    keep_probe(Speed(1.0, "probe", "probe", "tiny", 512, token_work(planner)))
    assert long_hours(recipe(), planner) is None
    found = long_hours(recipe(steps=3_000_000), planner)
    assert found and found.is_long and found.source == "from a probe, episodes of 512 tokens"
    assert long_hours(recipe(steps=3_000_000), None) is None


def test_the_figures_of_the_chip_are_what_was_measured_of_it() -> None:
    from yofo_mlx.gradients.dials import Dials
    from yofo_mlx.planning.sizes import Sizes
    from yofo_mlx.planning.work import M1_MAX, work

    shape = Sizes("qwen3", 36, 36, 4096, 32, 8, 128, 12288, 151936, 2, 0, 0, 0, None)
    for tokens, rate in ((2048, 97.8), (8192, 78.1)):
        load = Load(tokens, 1, tokens)  # mlx-lm projects every token, and recomputes every layer
        assert tokens / work(shape, load, Dials(tokens, 36), M1_MAX) == pytest.approx(
            rate, rel=0.05
        )
