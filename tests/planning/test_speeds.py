"""How fast a model was trained here: probes and runs, of like lengths."""

from pathlib import Path

from tests.streams import FreeWriter
from yofo_mlx.planning.speeds import Speed, keep_probe, known_speed
from yofo_mlx.recipe.file import validate
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.launch import create_run
from yofo_mlx.system import paths


def recipe(max_tokens: int, model: str = "tiny") -> Recipe:
    tasks = [{"source": "tiny:topic-01"}]
    data = {"model": model, "train": {"steps": 1}, "tasks": tasks}
    return validate(data | {"episodes": {"max_tokens": max_tokens}}, "")


def test_a_run_and_a_probe_say_how_fast_like_ones_will_be(tmp_path: Path) -> None:
    (paths.home() / "speeds.jsonl").unlink(missing_ok=True)
    assert known_speed(recipe(1024, "somebody/model")) is None
    run = create_run(recipe(1024, "somebody/model"), "fast")
    writer = FreeWriter(run.events_path)
    for rate in (1.0, 500.0, 510.0, 490.0):
        writer.write("step", step=1, loss=1.0, tokens_per_s=rate)
    speed = known_speed(recipe(2048, "somebody/model"))
    assert speed == Speed("somebody/model", 1024, 495.0, run.run_id)
    assert known_speed(recipe(8192, "somebody/model")) is None
    keep_probe(recipe(4096, "somebody/model"), 300.0)
    nearest = known_speed(recipe(8192, "somebody/model"))
    assert nearest is not None and (nearest.source, nearest.tokens_per_s) == ("probe", 300.0)
    with (paths.home() / "speeds.jsonl").open("a") as file:
        file.write('{torn\n{"model": 3, "max_tokens": "x", "tokens_per_s": null}\n')
    assert known_speed(recipe(8192, "somebody/model")) == nearest
