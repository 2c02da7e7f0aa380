"""Training on generated tasks: what it is for shows on tasks in words that it never used."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

RECIPE = """
model = "tiny"
[lora]
rank = 16
scale = 2.0
[template]
style = "plain"
input = "{input} ->"
output = " {output}\\n"
[episodes]
max_tokens = 512
[optimizer]
learning_rate = 5e-3
[train]
steps = 60
batch_size = 2
[evaluation]
shots = [8]
queries = 12
valid_tasks = 0
[[tasks]]
source = "synthetic:classify:20"
[[tasks]]
source = "synthetic:new-classify:3"
role = "held_out"
"""


@pytest.mark.long
def test_held_out_tasks_in_other_words_are_learned_from_their_demonstrations(
    yofo: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(RECIPE)
    code, _, err = yofo("train", tmp_path / "mine.toml")
    assert code == 0, err
    code, out, err = yofo("eval", "last", "--json")
    assert code == 0, err
    measured: dict[str, Any] = json.loads(out)["measured"]
    losses, scores = (
        {
            who: mean(one["points"][0][what] for one in tasks.values())
            for who, tasks in measured.items()
        }
        for what in ("loss", "score")
    )
    assert losses["adapter"] < 0.6 * losses["base"]
    assert scores["adapter"] >= scores["base"]
