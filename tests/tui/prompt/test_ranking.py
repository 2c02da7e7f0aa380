"""The list of runs: what ranks them, what has gone wrong with them, what becomes of them."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tui.runs.follow import has_checkpoint
from tui.runs.new import NewRunScreen
from tui.runs.new_form import RunForm
from tui.runs.screen import RunsScreen
from tui.runs.starting import start_detached
from tui.runs.table import RunTable
from tui.runs.view import RunView
from tui.shared.clock import moment
from tui.shared.confirm import ConfirmScreen
from yofo_mlx.errors import RunError
from yofo_mlx.runs import listing
from yofo_mlx.runs.divergence import is_diverged

pytestmark = pytest.mark.asyncio

RECIPE = 'model = "tiny"\ntrain.steps = 5\n[[tasks]]\nname = "a"\nsource = "tiny:train"\n'


def cells(pilot: Any) -> list[list[str]]:
    table = pilot.app.screen.query_one(RunTable)
    return [[str(cell) for cell in table.get_row_at(i)] for i in range(table.row_count)]


def validated(folder: Any, loss: float, scores: dict[int, float], best: bool = True) -> None:
    rows = [{"shots": k, "accuracy": a, "loss": loss} for k, a in scores.items()]
    folder.writer.write("eval", step=2, loss=loss, by_shots=rows, best=best)


async def test_runs_are_ranked_by_their_best_validation_not_by_their_last_step(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    lucky, best, bare = run_folder("lucky"), run_folder("best"), run_folder("bare")
    lucky.step(1, 0.1)
    validated(lucky, 2.5, {0: 0.1, 8: 0.9})
    best.step(1, 3.0)
    validated(best, 1.25, {0: 0.2, 8: 0.5, 64: 0.75})
    validated(best, 1.75, {0: 0.1, 8: 0.1, 64: 0.1}, best=False)
    bare.step(1, 0.01)
    async with pilots.open(size=(140, 36)) as pilot:
        await until(pilot, lambda: len(cells(pilot)) == 3 and "75% @64" in str(cells(pilot)))
        assert names(pilot) == ["bare", "best", "lucky"] and "started▼" in headings(pilot)
        assert cells(pilot)[1][4:7] == [f"▁{'':6}     3", "1.25", "75% @64"]
        assert cells(pilot)[0][4:7] == [f"▁{'':6}  0.01", "–", "–"]
        await pilot.press("o")
        assert names(pilot) == ["best", "lucky", "bare"] and "valid▲" in headings(pilot)
        await pilot.press("o")
        assert names(pilot) == ["lucky", "best", "bare"] and "score▼" in headings(pilot)
        await pilot.press("O")
        assert names(pilot) == ["best", "lucky", "bare"] and "score▲" in headings(pilot)
        await pilot.click(RunTable, offset=(9, 0))
        assert names(pilot) == ["bare", "best", "lucky"] and "run▲" in headings(pilot)
    async with pilots.open(size=(140, 36)) as pilot:  # the order is remembered
        await until(pilot, lambda: len(cells(pilot)) == 3 and "run▲" in headings(pilot))


def names(pilot: Any) -> list[str]:
    return [row[1] for row in cells(pilot)]


def headings(pilot: Any) -> list[str]:
    table = pilot.app.screen.query_one(RunTable)
    return [str(column.label) for column in table.ordered_columns]


async def test_a_run_that_finished_far_above_its_start_is_not_green(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("hot")
    for step, loss in enumerate([3.19] + [7.15] * 14, start=1):
        folder.step(step, loss)
    with folder.trained():
        async with pilots.open(size=(120, 36)) as pilot:
            await until(pilot, lambda: cells(pilot) and "! diverged" in cells(pilot)[0][0])
            folder.writer.write("finished", step=15, best_step=15, seconds=1.0)
    async with pilots.open(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Finished, but diverged" in shown(pilot))
        assert "from 3.19 to 7.15" in shown(pilot) and "✓" not in shown(pilot)
        assert "lower optimizer.learning_rate" in shown(pilot)


async def test_the_first_steps_of_a_run_that_goes_on_are_not_called_diverged(
    run_folder: Any,
) -> None:
    folder = run_folder("young")
    for step, loss in enumerate([3.19, 5.65, 6.58, 5.33, 4.78, 4.2], start=1):  # tiny's at 1e-3
        folder.step(step, loss)
    losses = [(float(x), y) for x, y in enumerate([3.19, 5.65, 6.58, 5.33, 4.78, 4.2])]
    view = RunView(folder.run, "running", 0.0, losses=tuple(losses))
    assert not view.is_diverged and not is_diverged(folder.run, goes_on=True)
    assert replace(view, status="finished").is_diverged and is_diverged(folder.run)


async def test_from_start_to_first_step_it_says_what_is_read_and_for_how_long(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("young")
    folder.run.events_path.write_text("")
    with folder.trained():
        async with pilots.open(size=(120, 36)) as pilot:
            await until(pilot, lambda: "starting …" in shown(pilot))
            folder.writer.write("loading", process=1)
            await until(pilot, lambda: "loading data and model … 0 s" in shown(pilot))
            await until(pilot, lambda: "loading data and model … 2 s" in shown(pilot))
            told = {"done": 120, "total": 0, "phase": "reading big.csv, rows"}
            folder.writer.write("progress", step=0, **told)
            await until(pilot, lambda: "reading big.csv, rows 120 …" in shown(pilot))
            folder.writer.write("started", run_id="x", model="tiny", steps=9, tokens=None)
            await until(pilot, lambda: "at the first step …" in shown(pilot))
            folder.step(1, 2.0)
            await until(pilot, lambda: "first step" not in shown(pilot))


async def test_a_run_that_failed_before_a_checkpoint_is_offered_anew_with_its_settings(
    pilots: Any, run_folder: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    folder = run_folder("mine")
    folder.writer.write("failed", step=0, message="no network", hint="check it")
    asked: list[str] = []

    def start(recipe: Path, changes: list[str], name: str = "") -> Any:
        asked.append(recipe.read_text())
        raise RunError("still no network", "check it")

    async with pilots.open() as pilot:
        await until(pilot, lambda: pilot.app.screen.selected is not None)
        pilot.app.screen.starter = start
        await pilot.press("c")
        assert isinstance(pilot.app.screen, NewRunScreen)
        assert "failed before its first checkpoint" in shown(pilot)
        await until(pilot, lambda: pilot.app.screen.draft is not None)
        assert pilot.app.screen.draft.name == "mine"
        pilot.app.screen.query_one(RunForm).put("train.steps", 3)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "still no network" in shown(pilot))
    (text,) = asked
    assert "steps = 3" in text and text != folder.run.recipe_path.read_text()


async def test_a_run_that_died_before_a_checkpoint_says_that_it_begins_again(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    gone_on: list[str] = []
    folder = run_folder("gone").steps(3)
    async with pilots.open() as pilot:
        screen = pilot.app.screen
        screen.resumer = lambda run: gone_on.append(run.run_id)
        await until(pilot, lambda: "There is no checkpoint yet" in shown(pilot))
        await pilot.press("c")
        assert isinstance(pilot.app.screen, ConfirmScreen) and "at step 0" in shown(pilot)
        await pilot.press("n")
        assert not gone_on and not has_checkpoint(folder.run)
        await pilot.press("c", "y")
        await until(pilot, lambda: gone_on == [folder.run.run_id])


async def test_a_run_started_anew_from_anothers_settings_has_its_name(
    run_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder("my-name")
    folder.run.recipe_path.write_text(RECIPE)
    with pytest.raises(RunError) as caught:
        start_detached(folder.run.recipe_path, ["train.stepz=1", "lora.rang=2"])
    assert caught.value.message.startswith("2 mistakes:\n")
    assert str(folder.run.path) not in caught.value.message
    started = start_detached(folder.run.recipe_path, ["train.steps=1"])
    started.request_stop()
    assert started.run_id.endswith("-my-name")


async def test_a_run_that_was_removed_is_told_and_the_cursor_stays_where_it_was(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folders = [run_folder(name).steps(1) for name in ("a", "b", "c")]
    async with pilots.open() as pilot:
        table = pilot.app.screen.query_one(RunTable)
        await until(pilot, lambda: table.row_count == 3)
        table.select(folders[1].run.run_id)
        shutil.rmtree(folders[1].run.path)
        await until(pilot, lambda: table.row_count == 2)
        assert "Gone from the disk" in shown(pilot)
        assert table.selected == folders[0].run.run_id  # the next one in the list


async def test_a_filter_that_nothing_matches_says_so(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    run_folder("apples").steps(1)
    async with pilots.open() as pilot:
        await until(pilot, lambda: len(cells(pilot)) == 1)
        width = len(shown(pilot).splitlines()[0])
        await pilot.press("slash", *"pears")
        await until(pilot, lambda: "No run has pears" in shown(pilot))
        assert "Run the demo" not in shown(pilot) and "Back" in shown(pilot)
        assert len(shown(pilot).splitlines()[0]) == width
        await pilot.press("escape")
        await until(pilot, lambda: len(cells(pilot)) == 1)


async def test_a_list_that_cannot_be_had_says_why_instead_of_that_there_is_none(
    pilots: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[Any]:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(listing, "list_runs", broken)
        async with pilots.open() as pilot:
            await until(pilot, lambda: "The runs cannot be looked at" in shown(pilot))
            assert "Run the demo" not in shown(pilot)
            patch.undo()
            await until(pilot, lambda: "Run the demo" in shown(pilot))


async def test_a_click_selects_and_a_double_click_opens(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    for name in ("a", "b"):
        run_folder(name).steps(1).adapter()
    async with pilots.open() as pilot:
        table = pilot.app.screen.query_one(RunTable)
        await until(pilot, lambda: table.row_count == 2)
        for row in (2, 2, 1, 1):
            await pilot.click(RunTable, offset=(5, row))
            await pilot.pause(0.6)  # two clicks, not a double one
            assert isinstance(pilot.app.screen, RunsScreen) and table.cursor_row == row - 1
        await pilot.click(RunTable, offset=(5, 2), times=2)
        await until(pilot, lambda: pilot.app.screen.has_class("-full"))
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        screen.post_message(RunsScreen.Polled(screen._views))  # as each second
        await pilot.pause()
        assert not table.display
        await pilot.press("enter")
        assert table.display and pilot.app.focused is table
        await pilot.press("enter", "escape")
        assert table.display and pilot.app.focused is table


async def test_how_long_a_run_is_at_it_counts_from_when_it_was_taken_up(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("resumed").steps(2)
    created = time.time() - 7200
    folder.run.note(created=created)
    began = moment(created)
    taken_up = time.time() - 100
    os.utime(folder.run.lock_path, (taken_up, taken_up))
    with folder.trained():
        async with pilots.open(size=(120, 36)) as pilot:
            await until(pilot, lambda: "for 1 min 4" in shown(pilot) and began in shown(pilot))


async def test_a_failed_run_says_what_it_says_once(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("broken").steps(2)
    folder.run.console_path.write_text("step 2\nerror: loss is nan\n  lower it\n")
    folder.writer.write("failed", step=2, message="loss is nan", hint="lower it")
    async with pilots.open(size=(120, 36)) as pilot:
        await until(pilot, lambda: "loss is nan" in shown(pilot))
        assert shown(pilot).count("loss is nan") == 1 and shown(pilot).count("lower it") == 1


@pytest.mark.long
async def test_keys_on_a_table_without_rows_do_nothing(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    async with pilots.open() as pilot:
        await until(pilot, lambda: "Run the demo" in shown(pilot))
        table = pilot.app.screen.query_one(RunTable)
        for key in ("up", "k", "home", "end", "pageup", "pagedown", "enter", "c", "s", "p", "o"):
            table.focus()
            await pilot.press("down", "up", key)
        run_folder("first").steps(1)
        await until(pilot, lambda: table.row_count == 1 and table.selected is not None)
