"""Adding a data set: its columns proposed, kept for the next time; paths, recipes, the editor."""

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from tests.hub_server import HubServer, hub_fixture  # noqa: F401
from tui.data import mapping, paths, sets
from tui.data.add import AddScreen
from tui.data.examples import ExampleTable
from tui.data.fixing import append_task, drop_bad_rows
from tui.data.measures import Measure, label_bars, lengths
from tui.data.screen import DataScreen
from tui.shared import editor, recipes
from tui.shared.table import Column
from yofo_mlx.errors import RecipeError
from yofo_mlx.preview.columns import columns

MINIMAL = 'model = "tiny"\n[[tasks]]\nsource = "tiny:topic-01"\n'
ROWS = "utterance,intent,note\n" + "".join(
    f"my card number {i} is gone,{'lost' if i % 3 else 'pin'},x\n" for i in range(30)
)


@pytest.mark.asyncio
async def test_columns_of_no_known_form_are_proposed_and_remembered(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    (empty_folder / "own.csv").write_text(ROWS + ",pin,x\n")
    async with pilots.open("data", size=(140, 40)) as pilot:
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, AddScreen))
        pilot.app.screen.query_one("#path", Input).value = "own.csv"
        await pilot.press("enter")  # before its columns are known: they are looked at first
        await until(pilot, lambda: "1 of 31 rows are bad" in shown(pilot))
        assert pilot.app.screen.query_one("#input", Input).value == "utterance"
        assert pilot.app.screen.query_one("#output", Input).value == "intent"
        pilot.app.screen.query_one("#path", Input).value = "own"
        await until(pilot, lambda: not pilot.app.screen.query_one("#input", Input).value)
        pilot.app.screen.query_one("#path", Input).value = "own.csv"
        await until(pilot, lambda: "1 of 31 rows are bad" in shown(pilot))
        await pilot.press("ctrl+b", "ctrl+s")
        await until(pilot, lambda: "utterance → intent" in shown(pilot))
        assert isinstance(pilot.app.screen, DataScreen)
        kept = pilot.app.choices.get("data", "tables")
        assert kept == [
            {
                "source": str(empty_folder / "own.csv"),
                "input": "utterance",
                "output": "intent",
                "bad_rows": "drop",
            }
        ]
        await pilot.press("D")
        assert pilot.app.choices.get("data", "opened") == []
        await pilot.press("u")
        assert len(pilot.app.choices.get("data", "opened")) == 1
        place, screen = str(empty_folder / "own.csv"), pilot.app.screen
        screen._put(sets.of_path(place))  # another path to the same file
        assert pilot.app.choices.get("data", "opened") == [place]
        pilot.app.choices.keep("data", "opened", [place, place])
        assert [one.key for one in screen._kept()] == [place]


@pytest.mark.asyncio
async def test_a_path_is_completed_though_tab_was_faster_than_the_disk(
    pilots: Any, until: Any, empty_folder: Path
) -> None:
    for name in ("own.csv", "notes.csv"):
        (empty_folder / name).write_text(ROWS)
    async with pilots.open("data") as pilot:
        await pilot.press("a", "o", "w", "tab")
        screen = pilot.app.screen
        await until(pilot, lambda: screen.query_one("#path", Input).value == "own.csv")
        assert screen.focused is screen.query_one("#path")


@pytest.mark.parametrize("source", ["synthetic:all:4", "synthetic:map-1", "tiny:topic-00"])
def test_tasks_that_lie_nowhere_are_made_by_yofo(source: str) -> None:
    one = sets.of_path(source)
    assert one.place == "made by yofo" and one.on_hub == (False,) and not one.error
    assert sets.remembered(one)["source"] == source  # from any folder


def test_columns_tell_what_they_hold_and_a_template_joins_two(empty_folder: Path) -> None:
    (empty_folder / "own.csv").write_text(ROWS)
    told = columns({"source": "own.csv"})
    assert told["columns"][1:] == [("intent", "2 values"), ("note", "1 value: x")]
    assert "cannot tell" in told["trouble"]
    joined = columns({"source": "own.csv", "input": "{note}: {utterance}", "output": "intent"})
    assert joined["examples"][0] == ("x: my card number 0 is gone", "pin")
    assert joined["family"] == "classification" and not joined["bad"]
    assert columns({"source": "own.csv", "role": "dancer"})["trouble"].startswith("role")
    assert "no such file" in columns({"source": "other.csv"})["trouble"]


def test_another_reading_of_json_is_taken_and_told(empty_folder: Path) -> None:
    (empty_folder / "a.json").write_text('{"train": [["x", "y"]], "test": [["z", "y"]]}')
    told = columns({"source": "a.json"})
    assert told["keys"] == {"records": "{split}"} and told["examples"]


def test_paths_go_on_as_typed(empty_folder: Path) -> None:
    for name in ("data-one.csv", "data-two.jsonl", "notes.txt", "recipe.toml"):
        (empty_folder / name).write_text("x")
    (empty_folder / "dates").mkdir()
    found = paths.candidates("da")
    assert [one.text for one in found] == ["data-one.csv", "data-two.jsonl", "dates/"]
    assert paths.shared_start(found) == "dat" and paths.shared_start([]) == ""
    assert not paths.candidates("nowhere/")
    assert [one.about for one in paths.candidates("rec")] == ["recipe"]


def test_a_word_is_looked_for_on_the_hub_unless_it_looks_like_a_file(empty_folder: Path) -> None:
    (empty_folder / "here").mkdir()
    names = ["bank", "PolyAI/bank", "PolyAI/", "squad_v2"]
    others = [
        "ba",
        "bank.csv",
        "./bank",
        "/data/bank",
        "~/bank",
        "tiny:train",
        "here",
        "a b",
        "*.x",
    ]
    assert all(map(paths.is_name, names)) and not any(map(paths.is_name, others))
    said = {"id": "a/b", "downloads": 12345, "rows": "1K<n<10K", "is_gated": True}
    (found,) = paths.of_hub([said])
    assert found.about == "hub · 1K<n<10K rows · 12k downloads · gated"


@pytest.mark.long
@pytest.mark.asyncio
async def test_the_hub_is_searched_while_a_word_is_typed_and_silence_is_told_in_two_lines(
    pilots: Any,
    until: Any,
    shown: Any,
    hub: HubServer,
    empty_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in hub.environment(empty_folder).items():
        monkeypatch.setenv(name, value)
    for name in ("bank/intents", "own/bank77", "other/reviews"):
        hub.add("dataset", name, {"train.jsonl": b"x" * 9000})
    (empty_folder / "mine.toml").write_text('model = "tiny"\n[[tasks]]\nsource = "a.csv"\n')
    async with pilots.open("data", size=(80, 24)) as pilot:
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, AddScreen))
        await pilot.press(*"bank", "enter")  # which is too early: the hub has not answered
        await until(pilot, lambda: "own/bank77    hub · 1K<n<10K rows" in shown(pilot))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: "on the hub: 9 kB in 1 file" in shown(pilot))
        await pilot.press("f1")
        await until(pilot, lambda: "looked for on the hub." in shown(pilot))
        await pilot.press("escape", "ctrl+a")
        await until(pilot, lambda: "Write it into which recipe?" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DataScreen))
        assert 'source = "own/bank77"' in (empty_folder / "mine.toml").read_text()
        hub.ailment = "429"
        await pilot.press("a", *"reviews")
        await until(
            pilot, lambda: "the hub cannot be searched: the hub has had too" in shown(pilot)
        )
        assert "try again in some minutes" in shown(pilot)


def test_keys_that_have_no_field_are_typed_as_in_a_recipe() -> None:
    typed = mapping.Mapping({"source": "a", "bad_rows": "drop", "records": "{split}"})
    assert typed.text("other") == 'records = "{split}"'
    typed.put("other", 'splits = {train = "b"}; valid_share = 0.2; source = "evil"')
    kept = {"source": "a", "bad_rows": "drop", "splits": {"train": "b"}, "valid_share": 0.2}
    assert typed.table == kept
    assert typed.text("other") == 'splits = {train = "b"}; valid_share = 0.2'
    typed.put("input", "{a}\\n{b}")
    assert typed.table.pop("input") == "{a}\n{b}"
    usual = mapping.usual_of({"input": "{a}\n{b}"}, typed.table)
    assert usual["input"] == "{a}\\n{b}"
    typed.put("other", "splits = {")
    assert typed.wrong.startswith("other keys: ") and typed.table == kept
    typed.put("other", "")
    assert typed.table == {"source": "a", "bad_rows": "drop"} and not typed.wrong


def test_a_recipe_keeps_its_text_and_what_it_includes_is_not_written(empty_folder: Path) -> None:
    recipe = empty_folder / "mine.toml"
    recipe.write_text('model = "tiny"  # small\n[[tasks]]\nsource = "a.csv"  # mine\n')
    drop_bad_rows(recipe, 0)
    append_task(recipe, {"source": "b.csv"})
    text = recipe.read_text()
    assert "# small" in text and "# mine" in text and 'bad_rows = "drop"' in text
    assert text.rstrip().endswith('source = "b.csv"')
    with pytest.raises(RecipeError, match="includes"):
        drop_bad_rows(recipe, 7)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("vim -n", ["vim", "-n", "+7", "a.csv"]),
        ("code", ["code", "--wait", "--goto", "a.csv:7"]),
        ("", ["vi", "+7", "a.csv"]),
    ],
)
def test_an_editor_is_opened_at_the_line(
    monkeypatch: pytest.MonkeyPatch, chosen: str, words: list[str]
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", chosen)
    assert editor.command(Path("a.csv"), 7) == words


@pytest.mark.asyncio
async def test_a_table_without_rows_and_heading_is_drawn(pilots: Any, until: Any) -> None:
    async with pilots.open("data") as pilot:
        table = ExampleTable()
        await pilot.app.screen.mount(table)
        table.fill([Column(""), Column("x")], [], [])
        await pilot.pause()
        assert [column.width for column in table.columns.values()] == [1, 1]


def test_labels_and_lengths_are_drawn_to_scale() -> None:
    bars = label_bars([("lost", 8), ("pin", 4), ("odd", 1)], 3, 30, 9).plain.splitlines()
    full = bars[0].count("█")
    assert full == 2 * bars[1].count("█") and bars[2].endswith("1")
    assert label_bars([("a", 3), ("b", 2), ("c", 1)], 3, 30, 2).plain.endswith("least: c 1")
    measure = Measure(9, 90, 10, 4, 20, (1, 0, 8), (9, 9, 9), False)
    drawn = lengths(measure, 40).plain
    assert "█" in drawn and "all fit 4k" in drawn and "median 10" in drawn


def test_where_data_lie_is_told_short(empty_folder: Path, tmp_path_factory: Any) -> None:
    far = tmp_path_factory.mktemp("far")
    where = {"a.csv": "this folder", f"{empty_folder}/a.csv": "this folder", "b/a.csv": "b"}
    where |= {f"{empty_folder}/b/a.csv": "b", f"{far}/a.csv": str(far), f"{far}/a.toml": str(far)}
    for name in where:
        path = empty_folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("input,output\nx,y\n" if path.suffix == ".csv" else MINIMAL)
    assert {name: sets.of_path(name).place for name in where} == where
    near = recipes.near(f"{empty_folder}/b/a.csv:3: the input is empty, as in {far}/a.csv")
    assert near == f"b/a.csv:3: the input is empty, as in {far}/a.csv"
