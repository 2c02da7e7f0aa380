"""A data set is summed up in one way, for the command line and for the app."""

import json
from pathlib import Path

import pytest

from yofo_mlx.commands import data
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.preview.facts import from_facts
from yofo_mlx.preview.reading import SHOWN_LABELS, read
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.registry import load_sets
from yofo_mlx.tasks.summary import sum_up


@pytest.mark.parametrize("source", ["tiny:held_out", "rows.csv"])
def test_the_app_shows_what_the_command_prints(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"text {number},{'ab'[number % 3 == 0]}\n" for number in range(12))
    Path("rows.csv").write_text(f"input,output\n{rows}")
    data.preview(DataRequest([source]), as_json=True)
    printed = json.loads(capsys.readouterr().out)
    facts = read({"source": source, "role": "held_out"})
    shown = [from_facts(one) for one in facts["sets"]]
    assert len(printed) == len(shown)
    for one, other in zip(printed, shown, strict=True):
        assert (one["name"], one["source"], one["family"]) == (
            other.name,
            other.place,
            other.family,
        )
        assert list(one["labels"].items())[:SHOWN_LABELS] == other.labels
        assert len(one["labels"]) == other.label_count
        assert [(each["input"], each["output"]) for each in one["examples"]] == other.examples
    assert any(one["labels"] for one in printed)


def test_every_family_that_has_labels_shows_them_and_no_other() -> None:
    sets = load_sets(TaskSource(source="tiny:held_out", role="held_out"), Path())
    for loaded in sets:
        assert bool(sum_up(loaded, 1).labels) == (loaded.family in LABELLED)
    assert {loaded.family for loaded in sets} > set(LABELLED)
