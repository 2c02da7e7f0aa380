"""`yofo study` as a user calls it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.runs import lock

RECIPE = """
model = "tiny"
template.style = "plain"
lora.rank = 2
episodes.max_tokens = 128
train.tokens = 400
evaluation.shots = [0, 2]
evaluation.queries = 2

[study]
seeds = 1
forgetting = "texts.txt"
forgetting_tokens = 40

[[tasks]]
source = "tiny:topic-00"

[[tasks]]
source = "tiny:new-topic-00"
role = "held_out"
metric = "exact"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "texts.txt").write_text("the river is deep . " * 40)
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


def test_a_study_of_two_arms_ends_with_a_report_and_is_not_made_twice(
    recipe: Path, tmp_path: Path, yofo: Any, yofo_home: Path
) -> None:
    words = ["study", recipe, "--arms", "base,many-all", "--out", tmp_path / "out"]
    (yofo_home / "settings.toml").write_text(f"[notify]\ncommand = 'cat > {tmp_path / 'told'}'")
    code, out, err = yofo(*words)
    assert (code, out.strip()) == (0, str(tmp_path / "out" / "report.html")), err
    told = json.loads((tmp_path / "told").read_text())
    assert (told["run"], told["status"], told["step"]) == ("study-out", "finished", 2)
    results = sorted((tmp_path / "out" / "results").iterdir())
    assert [path.stem for path in results] == ["base-s0", "many-all-s0"]
    made = json.loads(results[1].read_text())
    assert made["training"]["tokens"] >= 400 and made["forgetting"]["loss"] > 0
    assert {*made["cells"]["new-topic-00"]} == {"0", "2"} and made["choice"] and made["outside"]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "## Forgetting" in text and "| `many-all` |" in text
    before = [path.stat().st_mtime_ns for path in results]
    code, out, _ = yofo(*words, "--json")
    assert code == 0 and {*json.loads(out)["arms"]} == {"base", "many-all"}
    assert [path.stat().st_mtime_ns for path in results] == before

    code, _, err = yofo(*words, "--set", "lora.rank=4")
    assert code == 1 and "a study of another recipe: lora.rank is 2 there, 4 here" in err
    assert len(err.strip().splitlines()) == 2


MISTAKES = [
    (["--arms", "many-al"], "no arm 'many-al'", "did you mean many-all?"),
    (["--arms", ","], "--arms wants something named", "leave it out"),
    (["--shots", "0,x"], "'x' is no number", "--shots 0,4,16"),
    (["--set", "study.apart=['nobody']"], "no held-out task is called nobody", "new-topic-00"),
    (["--set", "study.search={model=['a','b']}"], "`model` is not of lora", "recipes explain"),
    (["--set", "study.search={lora.rank=[2,2]}"], "a value twice", "recipes explain"),
    (["--set", "study.rows=[0.5,0.5]"], "`rows` has a value twice", "recipes explain"),
    (["--set", "study.sample=2"], "there is none", "recipes explain"),
    (["--set", "study.search={lora.rang=[2,4]}"], "`lora.rang`", "recipes explain"),
    (["--set", "study.search={objective.targets=['all','last']}"], "no arm is tried", "leave it"),
    (["--set", "study.rows=[2.0]"], "study.rows", "recipes explain"),
    (["--set", "study.forgetting='nothing.txt'"], "nothing.txt", "study.forgetting"),
    (["--set", "tasks.1.role='train'"], "the recipe has none", "held_out"),
]


@pytest.mark.parametrize(("words", "what", "hint"), MISTAKES)
def test_a_mistake_is_two_lines_and_nothing_is_written(
    words: list[str], what: str, hint: str, recipe: Path, tmp_path: Path, yofo: Any
) -> None:
    code, out, err = yofo("study", recipe, "--out", tmp_path / "out", *words)
    assert code in (2, 3) and not out, err
    first, second = err.strip().splitlines()[-2:]
    assert what in first and hint in second, err
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_study_whose_processes_were_all_killed_goes_on_from_the_checkpoint(
    recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    recipe.write_text(RECIPE.replace("train.tokens = 400", "train.tokens = 30000"))
    changed = ["--set", "train.checkpoint_every=1", "--arms", "many-all", "--out", str(out)]
    words = [sys.executable, "-m", "yofo_mlx.cli", "study", str(recipe), *changed]
    run = out / "runs" / "many-all-s0"
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while len([*run.glob("checkpoints/*")]) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    trainer = lock.holder(run)
    assert trainer
    process.kill()
    os.kill(trainer, signal.SIGKILL)
    process.wait()
    assert subprocess.run(words, capture_output=True).returncode == 0
    assert '"resumed"' in (run / "past.jsonl").read_text()
    result = json.loads((out / "results" / "many-all-s0.json").read_text())
    assert result["training"]["tokens"] >= 30000
