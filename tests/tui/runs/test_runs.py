"""Runs: the list, the curves, stopping and starting."""

from typing import Any

import pytest

from tui.prompt.screen import PromptScreen
from tui.runs.rename import RenameScreen
from tui.runs.screen import RunsScreen
from tui.runs.table import RunTable
from tui.shared.chart import Chart
from tui.shared.confirm import ConfirmScreen
from tui.shared.help import HelpScreen
from yofo_mlx.runs.listing import list_runs

pytestmark = pytest.mark.asyncio


def curve(pilot: Any, chart: str, name: str) -> tuple[tuple[float, float], ...]:
    lines = pilot.app.screen.query_one(chart, Chart).lines
    return next((line.points for line in lines if line.name == name), ())


async def test_a_new_step_event_moves_the_curve(pilots: Any, run_folder: Any, until: Any) -> None:
    folder = run_folder("moving").steps(5)
    with folder.trained():
        async with pilots.open() as pilot:
            await until(pilot, lambda: len(curve(pilot, "#loss", "train")) == 5)
            folder.step(6, 0.25)
            await until(pilot, lambda: len(curve(pilot, "#loss", "train")) == 6)
            assert curve(pilot, "#loss", "train")[-1] == (6.0, 0.25)


async def test_a_validation_and_then_a_report_show_accuracy_by_shots(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    folder = run_folder("measured").steps(3)
    folder.validate(3, {0: 0.1, 4: 0.6, 32: 0.9})
    folder.writer.write("finished", step=3, best_step=3, seconds=1.0)
    async with pilots.open() as pilot:
        await until(pilot, lambda: curve(pilot, "#shots", "step 3"))
        assert curve(pilot, "#shots", "step 3")[-1] == (2.0, 0.9)
        folder.evaluate(2, {0: 0.2, 8: 0.7})
        await until(pilot, lambda: curve(pilot, "#shots", "base"))
        assert curve(pilot, "#shots", "base") == ((0.0, 0.1), (1.0, 0.1))
        assert curve(pilot, "#shots", "adapter") == ((0.0, 0.2), (1.0, 0.7))


async def test_points_over_other_tasks_are_lines_of_their_own(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("measured").steps(3)
    folder.evaluate(3, {0: 0.2, 8: 0.7}, further={0: 0.3, 8: 0.9, 64: 0.8})
    async with pilots.open(size=(160, 40)) as pilot:
        await until(pilot, lambda: curve(pilot, "#shots", "adapter"))
        assert "exact by shots" in shown(pilot)
        whole = curve(pilot, "#shots", "adapter")
        assert whole == ((0.0, pytest.approx(0.225)), (1.0, pytest.approx(0.75)))
        further = curve(pilot, "#shots", "adapter, 1 of 4 tasks")
        assert further == ((1.0, 0.9), (2.0, 0.8))


async def test_a_partial_or_unfinished_evaluation_is_not_the_runs_result(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    folder = run_folder("measured").steps(3)
    folder.evaluate(2, {0: 0.25, 8: 0.75})
    folder.evaluate(1, {0: 0.0, 8: 0.0}, full=False)
    folder.evaluate(2, {0: 0.0, 8: 0.0}, finish=False)
    async with pilots.open() as pilot:
        await until(pilot, lambda: curve(pilot, "#shots", "adapter"))
        assert curve(pilot, "#shots", "adapter") == ((0.0, 0.25), (1.0, 0.75))


async def test_metrics_of_a_validation_are_curves_of_their_own(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    folder = run_folder("measured").steps(3)
    rows = [
        {"metric": metric, "shots": shots, "accuracy": score, "loss": 1.0, "tasks": 2, "of": 2}
        for metric, shots, score in (("exact", 0, 0.5), ("exact", 4, 0.75), ("rouge", 0, 0.25))
    ]
    folder.writer.write("eval", step=3, loss=1.5, by_shots=rows, best=True)
    async with pilots.open() as pilot:
        await until(pilot, lambda: curve(pilot, "#shots", "step 3 exact"))
        assert curve(pilot, "#shots", "step 3 exact") == ((0.0, 0.5), (1.0, 0.75))
        assert curve(pilot, "#shots", "step 3 rouge") == ((0.0, 0.25),)


async def test_the_table_says_the_status_in_words_newest_first(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    first = run_folder("first").steps(2)
    first.writer.write("finished", step=2, best_step=1, seconds=3.0)
    second = run_folder("second").steps(2)
    with second.trained():
        async with pilots.open() as pilot:
            table = pilot.app.screen.query_one(RunTable)
            await until(pilot, lambda: table.row_count == 2)
            rows = [[str(cell) for cell in table.get_row_at(i)] for i in range(2)]
            assert [row[0] for row in rows] == ["● running", "✓ finished"]
            assert [row[1] for row in rows] == ["second", "first"]
            assert "2/100" in rows[0]


async def test_a_died_run_shows_the_last_words_of_the_console(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("gone").steps(3)
    folder.run.checkpoint_path(2).mkdir(parents=True)
    folder.run.console_path.write_text("loading\n 10%\r 90%\nMetal: Insufficient Memory\n")
    for size in ((80, 24), (120, 40)):
        async with pilots.open(size=size) as pilot:
            await until(pilot, lambda pilot=pilot: "Insufficient Memory" in shown(pilot))
            assert "✗" in shown(pilot) and "out of memory" in shown(pilot)
            assert f"yofo resume {folder.run.run_id}" in shown(pilot)
            assert "10%" not in shown(pilot).split("console:")[1]


async def test_a_failed_run_shows_message_and_hint(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("broken").steps(3)
    folder.writer.write("failed", step=3, message="loss is nan", hint="lower the learning rate")
    async with pilots.open() as pilot:
        await until(pilot, lambda: "loss is nan" in shown(pilot))
        assert "lower the learning rate" in shown(pilot)


async def test_progress_inside_the_step_is_shown_until_it_ends(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("inside").steps(3)
    with folder.trained():
        async with pilots.open() as pilot:
            folder.writer.write("progress", step=3, done=5, total=12, phase="backward")
            await until(pilot, lambda: "backward" in shown(pilot) and "5/12" in shown(pilot))
            folder.step(4, 1.0)
            await until(pilot, lambda: "backward" not in shown(pilot))


async def test_numbers_that_are_none_leave_the_app_standing(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("odd").steps(2)
    folder.step(3, float("nan"), tokens_per_s=float("inf"), share="x", shots="many")
    folder.writer.write("eval", step="last", loss=None, by_shots=[3, {"shots": "k"}, None])
    folder.writer.write("progress", step=3, done="x", total=0, phase=None)
    folder.writer.write("unheard-of", anything=[1])
    async with pilots.open() as pilot:
        await until(pilot, lambda: len(curve(pilot, "#loss", "train")) == 2)


async def test_hostile_text_changes_nothing_but_itself(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    evil = "[/bold][red]\x1b[2J\x1b]0;owned\x07\x9b31m\u202eabc"
    folder = run_folder("evil", model=evil).steps(2)
    folder.run.console_path.write_text(evil + "\n")
    folder.writer.write("warning", message=evil, hint=evil)
    folder.writer.write("failed", step=2, message=evil, hint=evil)
    async with pilots.open(size=(120, 40)) as pilot:
        await until(pilot, lambda: "\\x1b[2J" in shown(pilot))
        screen = shown(pilot)
        assert "[/bold][red]" in screen
        assert not set(screen) & set("\x1b\x07\x9b\u202e")


async def test_stopping_asks_first(pilots: Any, run_folder: Any, until: Any) -> None:
    folder = run_folder("long").steps(3)
    with folder.trained():
        async with pilots.open() as pilot:
            screen = pilot.app.screen
            await until(pilot, lambda: screen.selected is not None)
            await pilot.press("s")
            assert isinstance(pilot.app.screen, ConfirmScreen)
            await pilot.press("n")
            assert not folder.run.stop_path.exists()
            await pilot.press("s", "y")
            assert folder.run.stop_path.exists()
            await until(pilot, lambda: screen.selected.status == "stopping")


async def test_a_run_that_ended_cannot_be_stopped(pilots: Any, run_folder: Any, until: Any) -> None:
    folder = run_folder("over").steps(2)
    folder.writer.write("finished", step=2, best_step=1, seconds=3.0)
    async with pilots.open() as pilot:
        await until(pilot, lambda: pilot.app.screen.selected is not None)
        await pilot.press("s")
        assert isinstance(pilot.app.screen, RunsScreen)
        assert not folder.run.stop_path.exists()


async def test_a_stopped_run_can_go_on_and_a_finished_one_cannot(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    gone_on: list[str] = []
    stopped = run_folder("b").steps(2)
    stopped.writer.write("stopped", step=2, reason="asked to stop")
    stopped.run.checkpoint_path(2).mkdir(parents=True)
    over = run_folder("a").steps(2)
    over.writer.write("finished", step=2, best_step=1, seconds=3.0)
    async with pilots.open() as pilot:
        screen = pilot.app.screen
        screen.resumer = lambda run: gone_on.append(run.run_id)
        await until(pilot, lambda: screen.selected is not None)
        for folder in (over, stopped):
            screen.query_one(RunTable).select(folder.run.run_id)
            await until(pilot, lambda folder=folder: screen.selected.run == folder.run)
            await pilot.press("c")
        await until(pilot, lambda: gone_on == [stopped.run.run_id])


async def test_the_filter_narrows_the_list_and_escape_widens_it(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    run_folder("apples").steps(1)
    run_folder("pears").steps(1)
    async with pilots.open() as pilot:
        table = pilot.app.screen.query_one(RunTable)
        await until(pilot, lambda: table.row_count == 2)
        await pilot.press("slash", *"pear")
        await until(pilot, lambda: table.row_count == 1)
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 2)
        assert pilot.app.focused is table


async def test_the_cursor_stays_on_its_run_when_another_appears(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    run_folder("a").steps(1)
    middle = run_folder("b").steps(1)
    async with pilots.open() as pilot:
        table = pilot.app.screen.query_one(RunTable)
        await until(pilot, lambda: table.row_count == 2)
        table.select(middle.run.run_id)
        focused = pilot.app.focused
        run_folder("c").steps(1)
        await until(pilot, lambda: table.row_count == 3)
        assert table.selected == middle.run.run_id
        assert pilot.app.focused is focused


async def test_a_key_opens_the_run_in_prompt(pilots: Any, run_folder: Any, until: Any) -> None:
    folder = run_folder("good").steps(2).adapter()
    async with pilots.open() as pilot:
        await until(pilot, lambda: pilot.app.screen.selected is not None)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
        assert pilot.app.screen.query_one("Select").value == f"run:{folder.run.run_id}"


async def test_a_run_without_an_adapter_is_not_opened_in_prompt(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    run_folder("young").steps(2)
    async with pilots.open() as pilot:
        await until(pilot, lambda: pilot.app.screen.selected is not None)
        await pilot.press("p")
        await until(pilot, lambda: "no adapter yet" in shown(pilot))
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_help_lists_the_keys_of_the_place(pilots: Any, shown: Any) -> None:
    async with pilots.open() as pilot:
        await pilot.press("question_mark")
        assert isinstance(pilot.app.screen, HelpScreen)
        for words in ("New run", "Data", "Quit"):
            assert words in shown(pilot)
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_a_run_is_named_and_goes_and_comes_back(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    for name in ("one", "two"):
        run_folder(name).steps(2).writer.write("finished", step=2, best_step=1, seconds=1.0)
    async with pilots.open() as pilot:
        table = pilot.app.screen.query_one(RunTable)
        await until(pilot, lambda: "✓ finished" in shown(pilot) and table.row_count == 2)
        await pilot.press("R")
        pilot.app.screen.query_one("#name").value = "///"
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, RenameScreen) and "no letter" in shown(pilot)
        pilot.app.screen.query_one("#name").value = "[red]x/../y"
        pilot.app.screen.query_one("#note").value = "[b]for a try"
        await pilot.press("enter")
        await until(pilot, lambda: str(table.selected).endswith("-red-x-y"))
        await until(pilot, lambda: "[b]for a try" in shown(pilot))
        for left in (1, 0):
            await pilot.press("D")
            await until(pilot, lambda left=left: table.row_count == left)
        for there in (1, 2):  # the last first, then the one before it
            await until(pilot, lambda: pilot.app.screen.may("undo"))
            await pilot.press("u")
            await until(pilot, lambda there=there: table.row_count == there)
        assert len(list_runs()) == 2


async def test_a_run_that_goes_on_keeps_its_name_and_takes_a_note(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("mine").steps(1)
    with folder.trained():
        async with pilots.open() as pilot:
            await until(pilot, lambda: pilot.app.screen.query_one(RunTable).row_count == 1)
            await pilot.press("R", *"why", "enter")
            await until(pilot, lambda: "why" in shown(pilot))
    assert folder.run.info().note == "why" and list_runs() == [folder.run]
