"""Runs side by side: over the same tasks, with a word where not."""

from pathlib import Path
from typing import Any

import pytest

from tests.tui.conftest import RECIPE, RunFolder
from tui.prompt.screen import PromptScreen
from tui.runs.compare import screen as compare
from tui.runs.compare.contender import Contender, ContenderReader
from tui.runs.compare.drawing import aligned, shot_lines
from tui.runs.compare.picture import picture
from tui.runs.compare.report import markdown, write_report
from tui.runs.compare.results import best_of, best_run, result_rows
from tui.runs.compare.scoreboard import scoreboard
from tui.runs.compare.screen import CompareScreen
from tui.runs.compare.settings import setting_rows
from tui.shared.picking import PickingScreen
from tui.shared.words import safe
from yofo_mlx.recipe.file import validate
from yofo_mlx.runs.trash import remove


def trained(name: str, upto: int = 20, scores: dict[int, float] | None = None) -> RunFolder:
    folder = RunFolder(name)
    data = {"model": "tiny", "train": {"steps": 100}, "tasks": [{"source": "tiny:topic-01"}]}
    folder.run.note(recipe=validate(data, "").model_dump(mode="json"))
    for step in range(1, upto + 1):
        folder.step(step, 4.0 / step, tokens=100, tokens_per_s=50.0, total_tokens=100 * step)
    rows = [
        {"metric": "exact", "tasks": 2, "of": 2, "shots": shots, "accuracy": score}
        for shots, score in (scores or {}).items()
    ]
    if rows:
        folder.writer.write("eval", step=upto, loss=1.0, by_shots=rows, best=True)
    return folder


def read(*folders: RunFolder) -> list[Contender]:
    return [ContenderReader(folder.run).read() for folder in folders]


def test_a_run_is_followed_by_steps_tokens_and_hours_and_read_anew_when_resumed() -> None:
    folder = trained("one")
    reader = ContenderReader(folder.run)
    first = reader.read()
    assert reader.read() is first and first.seconds == 40.0
    assert first.losses["steps"][-1] == (20.0, 0.2)
    assert first.losses["tokens"][-1][0] == 2000.0
    assert first.losses["hours"][-1][0] == pytest.approx(40 / 3600)
    folder.step(21, 0.1)
    assert reader.read().losses["steps"][-1] == (21.0, 0.1)
    folder.writer.roll_back(0, 0)
    folder.step(1, 9.0)
    assert reader.read().losses["steps"] == ((1.0, 9.0),)


def test_runs_without_evaluations_are_compared_by_their_validations() -> None:
    one, two = trained("one", scores={0: 0.2, 4: 0.5}), trained("two", scores={0: 0.3, 4: 0.4})
    board = scoreboard(read(one, two))
    assert (board.source, board.metric, board.shots) == ("validation", "exact", [0, 4])
    assert board.curves[1] == ((0, 0.3), (4, 0.4)) and not board.notes
    two.run.note(recipe=two.run.info().recipe | {"seed": 7})  # type: ignore[operator]
    assert "not like for like" in scoreboard(read(one, two)).notes[0]
    one.evaluate(2, {0: 0.1, 4: 0.9})
    assert scoreboard(read(one, two)).notes[0].startswith("B not evaluated yet")


def test_evaluations_are_compared_over_the_tasks_that_all_of_them_have() -> None:
    one, two, three = trained("one"), trained("two"), trained("three")
    for folder, tasks, score in ((one, 2, 0.9), (two, 3, 0.7), (three, 2, 0.8)):
        folder.evaluate(tasks, {0: 0.1, 4: score})
    found = read(one, two, three)
    board = scoreboard(found)
    assert board.source == "evaluation" and [one.task for one in board.tasks] == ["task0", "task1"]
    assert [curve[-1] for curve in board.curves] == [(4, 0.9), (4, 0.7), (4, 0.8)]
    assert board.bases[0] == ((0, 0.1), (4, 0.1))
    assert board.notes == ("not compared: task2: only in the second",)
    rows = {row.what: row for row in result_rows(found, board)}
    assert rows["exact, 4 shots"].values[0] == "90.0  +80.0" and rows["exact, 4 shots"].best == 0
    assert rows["exact, 0 shots"].best is None  # all the same
    path = next(two.run.evaluations_path.iterdir())
    path.write_text(path.read_text().replace('"queries": 8', '"quarries": 8'))
    assert "damaged" in scoreboard(read(one, two)).notes[0]


def test_only_keys_that_differ_are_shown_and_data_sets_by_name() -> None:
    data = {
        "model": "tiny",
        "train": {"steps": 9},
        "tasks": [{"source": "a/one.csv"}, {"source": "two.csv", "limit": 5}],
    }
    first = validate(data, "").model_dump(mode="json")
    second = first | {"seed": 1, "tasks": [*first["tasks"][:1], {"source": "new.csv"}]}
    second["tasks"][0] = second["tasks"][0] | {"limit": 7}
    differing = {row.key: row.values for row in setting_rows([first, second]) if not row.is_same}
    assert differing == {
        "seed": ("0", "1"),
        "tasks one.limit": ("–", "7"),
        "tasks two.csv": ("✓ train", "–"),
        "tasks new.csv": ("–", "✓ "),
    }


def test_columns_fit_whatever_the_width() -> None:
    rows = [[safe("a" * 40), safe("short"), safe("b" * 40)], [safe("漢字"), safe(""), safe("x")]]
    for width in (90, 40, 12, 3):
        told = aligned(rows, width)
        assert len({line.cell_length for line in told}) == 1
        assert told[0].cell_length <= max(width, 7)
    assert aligned(rows, 90)[1].plain.index("x") == 47  # two wide letters before it


def test_the_best_run_has_the_best_score_at_the_most_shots_or_else_the_lowest_loss() -> None:
    one, two = trained("one", scores={0: 0.9, 4: 0.5}), trained("two", scores={0: 0.3, 4: 0.6})
    found = read(one, two)
    assert best_run(found, scoreboard(found)) == 1
    two.writer.write("eval", step=21, loss=0.5, by_shots=[], best=True)
    found = read(one, two)
    assert best_run(found, scoreboard(found)) == 1
    assert best_run(read(one), scoreboard(read(one))) == 0


def test_the_best_of_what_is_the_same_is_none() -> None:
    assert best_of([1.0, None, 3.0], most=True) == 2 and best_of([1.0, 3.0], most=False) == 0
    assert best_of([1.0, 1.0], most=True) is None and best_of([None, 1.0], most=True) is None


def test_the_report_is_a_folder_with_markdown_and_a_picture(tmp_path: Path) -> None:
    folders = [trained("one", scores={0: 0.2}), trained("t<w|o", scores={0: 0.3})]
    for folder in folders:
        folder.evaluate(1, {0: 0.1, 4: 0.9})
    found = read(*folders)
    board = scoreboard(found)
    path = write_report(tmp_path / "new", found, board, "steps")
    again = write_report(tmp_path / "new", found, board, "tokens")
    assert again.parent.name == f"{path.parent.name}-2"  # nothing is written over
    text = path.read_text(encoding="utf-8")
    assert (
        text == markdown(found, board) and "## Result" in text and "| task0 | exact | 4 |" in text
    )
    drawn = (path.parent / "comparison.svg").read_text(encoding="utf-8")
    assert drawn.count("<polyline") == 5  # two by steps, two by shots, their base
    assert "nothing was measured yet" in picture([("x", [], shot_lines(board)[1])])


async def test_panes_keys_and_the_way_back(
    pilots: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "POLL_SECONDS", 0.05)
    folders = [trained("one", scores={0: 0.2, 4: 0.5}), trained("two", scores={0: 0.3, 4: 0.4})]
    folders[1].run.recipe_path.write_text(RECIPE)
    with folders[1].trained():
        async with pilots.open(size=(140, 45)) as pilot:
            app = pilot.app
            await app.push_screen(CompareScreen([folder.run for folder in folders]))
            await pilot.pause()
            await until(pilot, lambda: "50.0 ◀ best" in shown(pilot))
            assert " keys are the same" in shown(pilot)
            assert "validation loss by steps" in shown(pilot)
            await pilot.press("t", "v", "l", "equals_sign")
            assert "training loss by tokens" in shown(pilot)
            folders[1].step(21, 0.01, total_tokens=2100)
            await until(pilot, lambda: "B 0.01" in shown(pilot))
            await pilot.press("space")
            await until(pilot, lambda: isinstance(app.screen, PickingScreen))
            await pilot.press("space", "escape")  # without the first
            await until(pilot, lambda: " B " not in shown(pilot).split("\n")[2])
            assert "two" in shown(pilot).split("\n")[1]
            await pilot.press("space")
            await until(pilot, lambda: isinstance(app.screen, PickingScreen))
            await pilot.press("j", "space", "escape")  # and with it again
            await until(pilot, lambda: "50.0 ◀ best" in shown(pilot))
            folders[0].adapter()
            await pilot.press("p")  # with the best of them
            await until(pilot, lambda: isinstance(app.screen, PromptScreen))
            await pilot.press("escape", "2")
            assert isinstance(app.screen, CompareScreen)  # it stays where it was
            await pilot.resize_terminal(80, 24)
            await until(pilot, lambda: "50.0 ◀ best" not in shown(pilot))
            await pilot.press("right_square_bracket", "right_square_bracket")
            assert "50.0 ◀ best" in shown(pilot)
            await pilot.press("w")
            await until(pilot, lambda: [*Path.cwd().glob("comparison-*/report.md")])
            await pilot.press("y")
            assert app.clipboard.startswith("# Runs compared")
            remove(folders[0].run)
            await pilot.press("escape")
            assert not isinstance(app.screen, CompareScreen)
            await app.push_screen(CompareScreen([folders[0].run]))  # it has gone
            await until(pilot, lambda: "one" in shown(pilot))
            await pilot.press("escape")


@pytest.mark.asyncio
async def test_tables_move_as_in_vi_though_nothing_has_the_focus(pilots: Any, until: Any) -> None:
    folders = [trained("one", scores={0: 0.2, 4: 0.5}), trained("two", scores={0: 0.3, 4: 0.4})]
    async with pilots.open(size=(80, 12)) as pilot:
        await pilot.app.push_screen(CompareScreen([folder.run for folder in folders]))
        await pilot.press(*["right_square_bracket"] * 2)  # the results
        tables = pilot.app.screen.query_one("#tables")
        await until(pilot, lambda: tables.max_scroll_y > 1)
        await pilot.press("G")
        await until(pilot, lambda: tables.scroll_y == tables.max_scroll_y)
        await pilot.press("k")
        await until(pilot, lambda: tables.scroll_y < tables.max_scroll_y)
        await pilot.press("g")
        await until(pilot, lambda: tables.scroll_y == 0)
        await pilot.press("ctrl+d")
        await until(pilot, lambda: tables.scroll_y > 1)
