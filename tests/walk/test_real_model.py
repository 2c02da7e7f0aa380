"""From data to an answer on a real pretrained model: `make real-model`, then `make long`."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from tests.places import ROOT

MODEL = ROOT / "out" / "smollm2"

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not MODEL.is_dir(), reason="there is no real model: make real-model"),
]

RECIPE = """
model = {model}
lora = {{ rank = 4, scale = 4.0, num_layers = 8 }}
episodes = {{ max_tokens = 400 }}
optimizer = {{ learning_rate = 3e-4, warmup = 0.0 }}
train = {{ steps = 4, eval_every = 4 }}
evaluation = {{ shots = [0, 8], queries = 8 }}
[[tasks]]
source = "sizes.jsonl"
family = "classification"
[[tasks]]
source = "moods.jsonl"
family = "classification"
role = "held_out"
"""
MOODS = {
    "positive": "wonderful delightful brilliant moving superb lovely charming funny great perfect",
    "negative": "terrible boring awful dreadful tedious ugly clumsy dull horrible worthless",
}
SIZES = {
    "large": "elephant whale mountain ship tower bus castle bridge ocean forest",
    "small": "ant needle pebble coin button grain bee seed pin crumb",
}


def rows(words: dict[str, str], sentence: str) -> str:
    lines = []
    for both in zip(*(text.split() for text in words.values()), strict=True):
        lines += [
            json.dumps({"input": sentence.format(word), "output": label}) + "\n"
            for label, word in zip(words, both, strict=True)
        ]
    return "".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / "real.toml").write_text(RECIPE.format(model=json.dumps(str(MODEL))))
    (folder / "moods.jsonl").write_text(rows(MOODS, "The film was {}."))
    (folder / "sizes.jsonl").write_text(rows(SIZES, "It is the size of a {}."))
    return folder


def test_the_whole_way_on_a_real_model(folder: Path, yofo: Any) -> None:
    code, out, err = yofo("plan", folder / "real.toml", "--json")
    assert code == 0, err
    assert json.loads(out)["parameters"] == 134_515_008
    code, out, err = yofo("show", folder / "real.toml")
    assert code == 0 and "<|im_end|>" in out, err
    code, _, err = yofo("train", folder / "real.toml", "--name", "real")
    assert code == 0, err
    code, out, err = yofo("runs", "--json")
    [run] = json.loads(out)
    assert (run["status"], run["step"]) == ("finished", 4) and math.isfinite(run["loss"])
    code, out, err = yofo("eval", "last")
    assert code == 0, err
    base = re.search(r"^ +8 +([\d.]+)", out, re.MULTILINE)
    assert base and float(base[1]) >= 50  # it knows these words
