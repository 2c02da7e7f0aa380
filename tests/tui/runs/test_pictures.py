"""How Runs and Compare look: wide and small, in few colours, in a light theme and in nord."""

from typing import Any

import pytest

from tests.tui.conftest import RunFolder
from tests.tui.pictures import check_picture, few_colours
from tui.runs.compare.screen import CompareScreen
from tui.runs.screen import RunsScreen

pytestmark = pytest.mark.asyncio
WIDE, SMALL = (140, 45), (80, 24)
PLANNED = {"chunk": None, "model_gb": 4.0, "step_gb": 19.0, "limit_gb": 154.0}


def measured(name: str, upto: int, best: float) -> RunFolder:
    """Make a run that was validated now and then, each time better."""
    folder = RunFolder(name, model="mistral-7b", steps=100)
    folder.writer.write("plan", **PLANNED)
    for step in range(1, upto + 1):
        more = {"tokens_per_s": 1800.0 + step % 7, "lr": 1e-4 * (1 - step / 100), "grad_norm": 0.42}
        more |= {"total_tokens": 1000 * step, "shots": [step % 64], "tokens": 1000, "targets": 90}
        folder.step(step, 3.0 / step**0.5 + (step % 5) / 20, peak_gb=21.4, **more)
        if step % 10 == 0:
            _validate(folder, step, best * (1 - 1 / (1 + step / 10)))
    return folder


def _validate(folder: RunFolder, step: int, best: float) -> None:
    common = {"metric": "exact", "tasks": 2, "of": 2}
    scores = {shots: best * (0.3 + 0.1 * place) for place, shots in enumerate((0, 1, 4, 16, 64))}
    rows = [common | {"shots": shots, "accuracy": score} for shots, score in scores.items()]
    tasks = [
        {"task": task, "shots": [*scores], "accuracy": [share * one for one in scores.values()]}
        for task, share in (("intents", 1.2), ("paraphrases", 0.8))
    ]
    loss = 2.0 / step**0.5
    folder.writer.write("eval", step=step, loss=loss, by_shots=rows, by_task=tasks, best=True)


@pytest.fixture
def some_runs(monkeypatch: pytest.MonkeyPatch) -> list[RunFolder]:
    for place in ("runs.follow", "runs.compare.contender"):
        monkeypatch.setattr(f"tui.{place}.size_of", lambda path: 412_000_000)
    ended = RunFolder("ctx-64k", model="mistral-7b").steps(2)
    ended.writer.write("plan", **PLANNED)
    hint = "evaluation.max_tokens = 494 would fit"
    ended.writer.write("failed", step=2, message="the step needs 160 of 154 GB", hint=hint)
    one, two = measured("intents-[red]", 80, 0.9), measured("all-answers", 100, 0.8)
    one.writer.write("stopped", step=80, reason="asked to stop", seconds=300.0)
    two.writer.write("finished", step=100, best_step=100, seconds=3600.0)
    two.evaluate(2, {0: 0.2, 4: 0.5, 64: 0.7})
    two.run.note(note="with a note")
    return [one, two]


async def test_runs_and_compare_as_they_look(
    pilots: Any, until: Any, shown: Any, some_runs: list[RunFolder]
) -> None:
    async with pilots.open(size=WIDE) as pilot:
        app = pilot.app
        await until(pilot, lambda: "by shots" in shown(pilot) and "412 MB" in shown(pilot))
        check_picture(app, "runs-140x45")
        await pilot.press("j", "enter")
        await until(pilot, lambda: "paraphrases" in shown(pilot))
        check_picture(app, "run-140x45")
        await pilot.resize_terminal(*SMALL)
        await pilot.pause()
        check_picture(app, "run-80x24")
        await pilot.press("escape")
        await until(pilot, lambda: "ctx-64k" in shown(pilot))
        check_picture(app, "runs-80x24")
        for theme in ("textual-light", "nord"):
            app.theme = theme
            await pilot.pause()
            check_picture(app, f"runs-{theme}")
        app.theme = "textual-dark"
        await pilot.press("space", "k", "k", "space", "equals_sign")
        assert isinstance(app.screen, CompareScreen)
        await until(pilot, lambda: "■ stopped" in shown(pilot) and "✓ finished" in shown(pilot))
        await pilot.press("right_square_bracket", "right_square_bracket")
        check_picture(app, "compare-80x24")
        await pilot.resize_terminal(*WIDE)
        await pilot.pause()
        check_picture(app, "compare-140x45")


async def test_runs_in_few_colours(
    pilots: Any,
    until: Any,
    shown: Any,
    some_runs: list[RunFolder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few_colours(monkeypatch)
    async with pilots.open(size=SMALL) as pilot:
        await until(pilot, lambda: "ctx-64k" in shown(pilot) and "%" in shown(pilot))
        assert isinstance(pilot.app.screen, RunsScreen)
        check_picture(pilot.app, "runs-256-colours", 256)
