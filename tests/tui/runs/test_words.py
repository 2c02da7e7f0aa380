"""What is said of a run: how it goes on, what its panel tells in little room; which columns."""

from dataclasses import replace
from typing import Any

import pytest
from textual.widgets import Static

from tui.runs import detail, measured
from tui.runs.follow import Follower
from tui.runs.notes import notes
from tui.runs.now import told
from tui.runs.table import RunTable
from tui.runs.view import RunView
from tui.shared.picking import PickingScreen


def view_of(folder: Any) -> RunView:
    return Follower(folder.run).poll()


def test_keys_that_help_stand_in_the_notes(run_folder: Any) -> None:
    died = run_folder("died").steps(3)
    died.writer.write("plan", limit_gb=20.0, model_gb=4.0, step_gb=12.0)
    died.run.console_path.write_text("RuntimeError: out of memory\n")
    assert "Start anew with memory.limit_gb = 13.6 with f." in notes(view_of(died)).plain
    died.run.console_path.write_text("")  # killed, by whom is not known
    assert "Start anew with memory.limit_gb = 13.6 with f." in notes(view_of(died)).plain
    died.writer.write("plan", limit_gb=20.0, model_gb=4.0, step_gb=1.0)
    said = notes(view_of(died)).plain
    assert "with f" not in said  # it was not for its memory
    assert "If it was the memory, start anew with a lower memory.limit_gb." in said
    assert said.count("`yofo resume") == 0 and "with c." in said
    folder = run_folder("mine").steps(3)
    assert "Start anew" not in notes(view_of(folder)).plain  # why it died is not known
    folder.writer.write("finished", step=3, best_step=3, seconds=1.0)
    assert notes(view_of(folder)).plain == "Measure it with e, try it with p."
    folder.evaluate(2, {0: 0.5})
    assert not notes(view_of(folder)).plain


def test_what_can_be_measured_is_told_from_when_it_can(run_folder: Any) -> None:
    folder = run_folder("mine").steps(3)
    with folder.trained():
        assert "e measures" in (said := measured._unmeasured(view_of(folder)).plain)
        assert "once it has validated" in said
        folder.validate(3, {0: 0.5})
        assert "once it has validated" not in measured._unmeasured(view_of(folder)).plain


def test_a_run_that_waits_is_not_said_to_be_starting(run_folder: Any) -> None:
    folder = run_folder("waits")
    folder.run.events_path.unlink()
    folder.run.lock_path.unlink()
    view = view_of(folder)
    assert view.status == "created" and detail._before_first_step(view) == "starting …"
    view = replace(view, started=view.started - detail.PATIENCE_S)
    assert "it waits in the queue" in detail._before_first_step(view)


@pytest.mark.parametrize("width", [30, 38, 60])
def test_nothing_in_the_panel_is_cut(run_folder: Any, width: int) -> None:
    folder = run_folder("mine", steps=100_000)
    folder.writer.write("plan", limit_gb=154.0, model_gb=4.0, step_gb=19.0)
    for step in range(1, 40):
        shots = [step, 412]
        memory = {"memory_gb": 21.4, "footprint_gb": 22.9}
        folder.step(step, 1.0, shots=shots, **memory, grad_norm=6.17, lr=0.00281)
    folder.writer.write("stopped", step=39, reason="asked to", seconds=36_059.0)
    shown = told(view_of(folder), width, 40).plain.split("\n")
    assert max(map(len, shown)) <= width
    assert any("plan 23.0" in line for line in shown) is (width > 34)


@pytest.mark.parametrize(("peak", "is_warned"), [(0.06, False), (0.12, True)])
def test_what_is_only_cached_is_not_held_against_the_plan(
    run_folder: Any, peak: float, is_warned: bool
) -> None:
    folder = run_folder("mine")
    folder.writer.write("plan", limit_gb=20.2, model_gb=0.01, step_gb=0.08)
    folder.step(1, 1.0, peak_gb=peak, memory_gb=0.28)
    shown = told(view_of(folder), 60, 40)
    assert f"peak {peak:.2f} of 20 GB" in shown.plain and "0.28" not in shown.plain
    assert any("warning" in str(span.style) for span in shown.spans) is is_warned


async def test_columns_are_chosen_and_there_again(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    run_folder("mine").steps(3)
    async with pilots.open(size=(140, 40)) as pilot:
        await until(pilot, lambda: "tok/s" in shown(pilot) and "mine" in shown(pilot))
        await pilot.press("C")
        assert isinstance(pilot.app.screen, PickingScreen)
        await pilot.press("space", "j", "space", "escape")  # without model and step
        heading = shown(pilot).split("\n")[2]
        assert "loss" in heading and "model" not in heading and "step" not in heading
        await pilot.press("f1")
        said = str(pilot.app.screen.query_one(Static).render())
        assert "C chooses the columns" in " ".join(said.split())
    async with pilots.open(size=(140, 40)) as pilot:
        table = pilot.app.screen.query_one(RunTable)
        assert "model" not in table.chosen and "loss" in table.chosen


async def test_columns_do_not_jump_while_figures_grow_shorter(
    pilots: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("mine").steps(3)
    with folder.trained():
        async with pilots.open(size=(80, 24)) as pilot:
            folder.step(4, 1.0, seconds_left=3725.0, tokens_per_s=12345.0)
            await until(pilot, lambda: "1 h 2 min" in shown(pilot))
            heading = shown(pilot).split("\n")[1]
            folder.step(5, 1.0, seconds_left=5.0, tokens_per_s=1.0)
            await until(pilot, lambda: " 5 s " in shown(pilot))
            assert shown(pilot).split("\n")[1] == heading
