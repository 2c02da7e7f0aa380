"""What `benchmarks/same_loss.py` calls the same, and what it tells of a difference."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import same_loss
from safetensors.numpy import save_file

STEP = {"kind": "step", "step": 3, "loss": 2.5, "t": 17.0, "shots": [4, 7]}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"loss": math.nextafter(2.5, 3)}, "1 loss: 2.5, then 2.5000000000000004"),
        ({"step": 3.0}, "1 step: 3, then 3.0"),
        ({"shots": [4]}, "1 shots 1: 7, then 'nothing'"),
        ({"new": None}, "1 new: 'nothing', then None"),
        ({"t": 18.0}, ""),
    ],
)
def test_all_of_an_event_counts_but_the_clock(changed: dict[str, Any], told: str) -> None:
    old, new = (
        [same_loss.stripped(event) for event in (STEP, one)] for one in (STEP, STEP | changed)
    )
    assert same_loss.difference(old, new) == told


def test_a_lost_event_is_told() -> None:
    assert same_loss.difference([STEP, STEP], [STEP]).endswith(", then 'nothing'")


def test_progress_is_left_out_and_a_torn_line_too(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    progress = {"kind": "progress", "step": 3}
    path.write_text(f'{json.dumps(STEP)}\n{json.dumps(progress)}\n{{"kind": "st')
    assert [*same_loss.read_events(path)] == [STEP]
    assert [*same_loss.read_events(path, progress=True)] == [STEP, progress]


def test_the_array_that_differs_is_named(tmp_path: Path) -> None:
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder, sign in zip(folders, (0.0, -0.0), strict=True):
        folder.mkdir()
        arrays = {"a": np.ones((2, 3), np.float32), "b": np.full(4, sign, np.float32)}
        save_file(arrays, folder / "adapters.safetensors")
        (folder / "trainer_state.json").write_text(str(sign))
    found = same_loss.difference(*map(same_loss.files, folders))
    assert found.startswith("adapters.safetensors b: 'F32 [4] ")
