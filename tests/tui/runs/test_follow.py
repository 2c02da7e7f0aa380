"""What is read from run folders, curves and words, without an app."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.prompt.fields import given_back, held
from tui.runs.follow import Follower, RunView, Watcher
from tui.shared.braille import Canvas
from tui.shared.curve import Curve, smoothed
from tui.shared.words import number, one_line, safe
from yofo_mlx.runs import listing
from yofo_mlx.runs.diagnosis import last_words


def losses(steps: int) -> list[float]:
    """A fall, then a plain, with noise, whatever the length."""
    noise = random.Random(steps)
    return [0.28 + 2.7 * math.exp(-8 * i / steps) + noise.gauss(0, 0.02) for i in range(steps)]


@pytest.mark.parametrize("steps", [5, 1000, 1500, 10_000, 200_000])
def test_a_curve_of_any_length_is_what_a_naive_one_is(steps: int) -> None:
    curve, values = Curve(), losses(steps)
    for step, loss in enumerate(values):
        curve.add(step, loss)
    points = curve.points()
    assert min(steps, 500) <= len(points) <= 1024
    width = next(2**power for power in range(30) if steps <= 1024 * 2**power)
    for at, point in enumerate(points):
        own = range(at * width, min((at + 1) * width, steps))
        mean = sum(values[step] for step in own) / len(own)
        assert point == pytest.approx((sum(own) / len(own), mean))


@pytest.mark.parametrize("steps", [100, 1500, 10_000, 200_000])
def test_smoothing_goes_by_steps_however_many_a_point_stands_for(steps: int) -> None:
    curve, values = Curve(), losses(steps)
    for step, loss in enumerate(values):
        curve.add(step, loss)
    shown = smoothed(curve.points())
    for x, y in shown[:: max(1, len(shown) // 50)]:
        reach = min((steps - 1) / 24, x)
        own = values[math.ceil(x - reach) : math.floor(x + reach) + 1]
        assert y == pytest.approx(sum(own) / len(own), abs=0.05)
    assert shown[0][1] == pytest.approx(2.98, abs=0.08)
    assert shown[-1][1] == pytest.approx(0.28, abs=0.03)


def test_a_long_curve_that_goes_back_forgets_all_that_is_overwritten() -> None:
    curve = Curve(most=64)
    for step in [*range(10_000), *range(5000, 6000)]:
        curve.add(step, 1.0 if step < 5000 else 2.0)
    points = curve.points()
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[-1][0] < 6000 and points[-1][1] == 2.0
    assert len(points) <= 64


def test_a_curve_that_goes_back_forgets_what_is_overwritten() -> None:
    curve = Curve()
    for step in (1, 2, 3, 4, 2):
        curve.add(step, step)
    assert curve.points() == ((1, 1), (2, 2))


@given(st.lists(st.floats(-1e6, 1e6), max_size=200))
def test_smoothing_stays_between_the_extremes(values: list[float]) -> None:
    points = tuple((float(x), y) for x, y in enumerate(values))
    means = [y for _, y in smoothed(points)]
    assert len(means) == len(values)
    assert all(min(values) - 1e-3 <= mean <= max(values) + 1e-3 for mean in means)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-50, 50), st.integers(-50, 50))
def test_a_line_outside_the_canvas_draws_nothing_wrong(x0: int, y0: int, x1: int, y1: int) -> None:
    canvas = Canvas(5, 3)
    canvas.line((x0, y0), (x1, y1), "$primary")
    assert all(sum(len(text) for text, _ in row) == 5 for row in canvas.rows())


def look(watcher: Watcher) -> list[RunView]:
    """Return what a watcher has found out in the end."""
    return list(watcher.look())[-1]


def test_a_resumed_run_is_running_again_and_what_it_took_back_forgotten(run_folder: Any) -> None:
    folder = run_folder("twice").steps(2)
    position = folder.writer.position
    folder.step(3, 9.0)
    folder.step(4, 9.0)
    folder.writer.write("failed", step=4, message="no", hint="")
    watcher = Watcher()
    assert look(watcher)[0].status == "failed"
    with folder.trained():
        folder.writer.roll_back(position, 2)
        assert look(watcher)[0].steps_done == 2
        folder.step(3, 1.0)
        view = look(watcher)[0]
        assert view.status == "running"
        assert view.end is None
        assert [x for x, _ in view.losses] == [1, 2, 3]
        assert view.losses[-1][1] == 1.0


def test_the_last_end_of_several_counts(run_folder: Any) -> None:
    folder = run_folder("ends").steps(2)
    for kind in ("stopped", "failed", "stopped"):
        folder.writer.write(kind, step=2, message="no", hint="", reason="asked")
        view = look(Watcher())[0]
        assert view.end is not None and view.end["kind"] == view.status == kind


def test_a_run_that_ended_is_not_read_again(run_folder: Any) -> None:
    folder = run_folder("over").steps(2)
    folder.writer.write("finished", step=2, best_step=2, seconds=1.0)
    watcher = Watcher()
    first = look(watcher)[0]
    assert look(watcher)[0] is first


def test_of_many_ended_runs_some_are_looked_at_each_time_the_others_in_turn(
    run_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.runs.follow.IN_TURN", 2)
    monkeypatch.setattr("tui.runs.follow.YOUNG_S", 0.0)
    polled: list[str] = []
    poll, listed = Follower.poll, listing.list_runs
    monkeypatch.setattr(
        Follower, "poll", lambda self: polled.append(self.view.run.run_id) or poll(self)
    )
    opened = []
    monkeypatch.setattr(listing, "list_runs", lambda: opened.append(1) or listed())
    ended = [run_folder(f"over-{n}").steps(1) for n in range(5)]
    for folder in ended:
        folder.writer.write("finished", step=1, best_step=1, seconds=1.0)
    living, watcher = run_folder("living").steps(1), Watcher()

    def looks() -> set[str]:
        polled.clear()
        assert len(look(watcher)) == 6
        return set(polled)

    with living.trained():
        assert len(looks()) == 6  # each is read once
        ids = {folder.run.run_id for folder in ended}
        first, second, third = looks(), looks(), looks()
        assert all(living.run.run_id in one for one in (first, second, third))
        assert [len(one & ids) for one in (first, second)] == [2, 2]
        assert first | second | third == ids | {living.run.run_id}
        watcher.attended = ended[0].run
        assert all(ended[0].run.run_id in looks() for _ in range(3))
    assert len(opened) == 1  # the folder of runs is as it was


def test_a_removed_run_is_forgotten(run_folder: Any) -> None:
    folder = run_folder("gone")
    watcher = Watcher()
    assert len(look(watcher)) == 1
    folder.run.recipe_path.unlink()
    assert look(watcher) == []


def test_the_console_is_read_as_a_terminal_would_have_left_it(run_folder: Any) -> None:
    run = run_folder("bars").run
    run.console_path.write_bytes(b"x" * 100_000 + b"\n 10%\r 20%\r\n\n\xff end\n")
    assert last_words(run, most=2) == (" 20%", "\N{REPLACEMENT CHARACTER} end")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.1234, "0.123"),
        (12.34, "12.3"),
        (1234.0, "1.2k"),
        (25e6, "25.0M"),
        (2.0**63, "9e18"),
        (-1e300, "-1e300"),
        (1e-4, "1e-4"),
        (0.0, "0"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_numbers_are_short(value: float | None, words: str) -> None:
    assert number(value) == words


@given(st.text(st.characters(max_codepoint=0xFFFFF)))
def test_no_text_reaches_the_terminal_as_a_command(text: str) -> None:
    controls = {chr(code) for code in (*range(32), *range(127, 160))}
    assert not set(safe(text).plain) & (controls - {"\n"})
    assert not set(one_line(text).plain) & controls
    assert not set(held(text)) & (controls - {"\t", "\n"})
    ends_alike = text.replace("\r\n", "\n").replace("\r", "\n")
    assert given_back(held(text)) == ends_alike and len(held(text)) == len(ends_alike)
