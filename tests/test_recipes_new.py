"""`yofo recipes new`: a recipe that reads just what the preview showed, as a person would write it."""

import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.commands import data, reading, recipes
from yofo_mlx.commands.reading import Request
from yofo_mlx.errors import DataError, ExitCode, RecipeError, YofoError
from yofo_mlx.recipe_file import load_recipe
from yofo_mlx.tasks.shapes import SHAPES
from yofo_mlx.tasks.sources import Loaded, load
from yofo_mlx.tasks.task import Example

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
REAL = [
    ["banking77"],
    ["bbh"],
    ["bbh/*.json", "nli", "gsm8k"],
    ["clinc150"],
    ["clinc150/data_full.json", "summarization", "sentiment"],
    ["nli/multinli_train_2000.json", "nli/multinli_test_500.json"],
    ["nli/multinli_test_500.json", "paraphrase/paws_test_500.json", "questions"],
]
ROWS = "text,category\n" + "".join(f"word {n},{'ab'[n % 2]}\n" for n in range(30))

Read = dict[str, dict[str, list[Example]]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examples(sets: Sequence[Loaded]) -> list[tuple[str, dict[str, list[Example]]]]:
    """Return name, family and examples by split of each data set, in the order of their names."""
    return sorted(
        (loaded.name, loaded.family, loaded.instruction)
        + tuple((split, [item.example for item in loaded.items[split]]) for split in loaded.items)
        for loaded in sets
    )


def shown(*paths: str | Path, **keys: Any) -> list[Any]:
    groups = reading.read(Request([str(path) for path in paths], **keys))
    return examples([loaded for group in groups for loaded in group.sets])


def read_back(recipe: Path) -> list[Any]:
    tasks = load_recipe(recipe).tasks
    return examples([loaded for task in tasks for loaded in load(task, Path("/nowhere"))])


def new(*paths: str | Path, out: str = "mine.toml", **keys: Any) -> dict[str, Any]:
    """Write a recipe and return what is in it."""
    options = {name: keys.pop(name) for name in ("held_out", "model", "steps") if name in keys}
    request = Request([str(path) for path in paths], **keys)
    assert recipes.new(request, out=Path(out), **options) == ExitCode.OK
    return tomllib.loads(Path(out).read_text("utf-8"))


@pytest.mark.skipif(not DATA.is_dir(), reason="no real data beside this checkout (../shared/data)")
@pytest.mark.parametrize("paths", REAL, ids=lambda paths: " ".join(paths))
def test_the_recipe_of_real_data_reads_what_the_preview_showed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str]
) -> None:
    monkeypatch.chdir(DATA)
    new(*paths, out=str(tmp_path / "mine.toml"))
    assert read_back(tmp_path / "mine.toml") == shown(*paths)


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
VALUE = TEXT | st.sampled_from(["a", "b", "12", "3 #### 4", "entailment", "neutral", "-", "{x}"])
LISTS = st.lists(VALUE, max_size=3)
SHAPE = st.sampled_from([sorted(shape.fields) for shape in SHAPES])


@st.composite
def rows(draw: st.DrawFn) -> list[Any]:
    """Return rows of one of the known forms, good ones and bad."""
    fields = draw(SHAPE)
    answers = draw(st.sampled_from([VALUE, VALUE | LISTS, LISTS]))
    if fields == ["0", "1"]:
        return draw(st.lists(st.tuples(VALUE, answers).map(list), max_size=9))
    row = st.fixed_dictionaries({name: VALUE for name in fields[:-1]} | {fields[-1]: answers})
    return draw(st.lists(row, max_size=9))


@given(rows(), st.booleans(), st.sampled_from(["x.jsonl", "some/a b.jsonl", "é/train.jsonl"]))
def test_the_recipe_of_any_rows_reads_what_the_preview_showed_or_is_not_written(
    tmp_path_factory: pytest.TempPathFactory, made: list[Any], more: bool, name: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / name).parent.mkdir(exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in made)
    (folder / name).write_text(lines + '{"input": "x", "output": "y"}\n' * 0, encoding="utf-8")
    (folder / "other.csv").write_text(ROWS)
    paths = [folder / name, *([folder / "other.csv"] if more else [])]
    try:
        new(*paths, out=str(folder / "mine.toml"))
    except DataError:
        assert not (folder / "mine.toml").exists()
    else:
        assert read_back(folder / "mine.toml") == shown(*paths)
