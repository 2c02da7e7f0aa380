"""`make real-model` brings the data of recipes/smollm2.toml, or says what is missing."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import real_data

from tests.places import ROOT
from yofo_mlx.recipe.file import read_toml

FILES = {"a/one.json": b"[1]", "two.csv": b"x,y\n"}


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put files where their publisher has them, and in the list."""
    lines = []
    for name, content in FILES.items():
        origin = tmp_path / "published" / name
        origin.parent.mkdir(parents=True, exist_ok=True)
        origin.write_bytes(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()} {name} {name}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    monkeypatch.setattr(real_data, "LIST", tmp_path / "list.txt")
    monkeypatch.setattr(real_data, "HOST", (tmp_path / "published").as_uri() + "/")
    return tmp_path / "published"


def found(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_there_by_halves_or_of_another_version_is_brought_anew(
    tmp_path: Path, capsys: Any
) -> None:
    out, copies = tmp_path / "out", tmp_path / "copies"
    (out / "a").mkdir(parents=True)
    (out / "a" / "one.json").write_bytes(b"[")  # a copy that was interrupted
    copies.mkdir()
    (copies / "two.csv").write_bytes(b"x;y\n")
    real_data.bring(out, copies)
    assert found(out) == FILES
    assert f"{copies / 'two.csv'} is not the file that was measured" in capsys.readouterr().err


def test_without_a_network_a_folder_that_has_them_does(published: Path, tmp_path: Path) -> None:
    away = published.rename(tmp_path / "copies")
    with pytest.raises(SystemExit) as refused:
        real_data.bring(tmp_path / "out", tmp_path / "nowhere")
    assert "2 of 2 files are still to come" in str(refused.value)
    assert "--copy DIR" in str(refused.value)
    real_data.bring(tmp_path / "out", away)
    assert found(tmp_path / "out") == FILES


def test_a_publisher_who_changed_a_file_is_told(published: Path, tmp_path: Path) -> None:
    (published / "two.csv").write_bytes(b"x,y,z\n")
    with pytest.raises(SystemExit, match=r"two\.csv is not the file that was measured"):
        real_data.bring(tmp_path / "out", tmp_path / "nowhere")
    assert set(found(tmp_path / "out")) == {"a/one.json"}


def test_the_list_has_every_file_that_the_recipe_reads() -> None:
    lines = (ROOT / "scripts" / "real_data.txt").read_text("utf-8").splitlines()
    made = [real_data.REQUESTS, real_data.JOINED]
    names = [*(line.split(" ")[1] for line in lines), *made]
    recipe = read_toml(ROOT / "recipes" / "smollm2.toml")
    sources = [task["source"] for task in recipe["tasks"]] + [recipe["study"]["forgetting"]]
    for source in (source.removeprefix("../out/data/") for source in sources):
        assert any(f"{name}/".startswith(f"{source}/") for name in names), source
    for task in recipe["tasks"]:
        for file in task.get("files", {}).values():
            assert f"{task['source']}/{file}".removeprefix("../out/data/") in names
