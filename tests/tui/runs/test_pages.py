"""Queue, disk and models: pages over what the verbs do."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Checkbox

from tests.tui.conftest import RECIPE, RunFolder
from tui.runs import models as models_page
from tui.runs import queue as queue_page
from tui.runs.disk import DiskScreen
from tui.runs.models import ModelsScreen
from tui.runs.queue import QueueScreen
from tui.runs.queue_add import QueueAddScreen
from tui.runs.table import RunTable
from tui.shared.confirm import ConfirmScreen
from tui.shared.messages import PromptModel
from tui.shared.recipes import find_recipes
from tui.shared.table import ListTable
from yofo_mlx.queueing import book, worker
from yofo_mlx.queueing.book import Entry
from yofo_mlx.queueing.studies import StudyRequest
from yofo_mlx.runs import listing
from yofo_mlx.system import paths

SOME = [
    {
        "name": "tiny", "where": "embedded", "nbytes": 2_400_000, "parameters": 10, "context": 1024,
        "longest": 9000, "why_not": "", "recipe": "tiny", "path": "tiny", "fits": {"4096": False},
    },
    {
        "name": "some/Model-7B", "where": "hub", "nbytes": 4_000_000_000, "parameters": 7,
        "context": 32768, "longest": 20000, "why_not": "", "recipe": "mistral", "path": None,
        "fits": {"4096": True},
    },
]  # fmt: skip


def queued(*names: str, **more: Any) -> list[RunFolder]:
    folders = []
    for name in names:
        run = listing.create(name)
        run.recipe_path.write_text("")
        number, created = listing.origin(run)
        with book.changing() as queue:
            queue.paused = True
            queue.entries.append(Entry(number=number, created=created, name=run.run_id, **more))
        folders.append(run)
    return folders


def names() -> list[str]:
    return [entry.name.rpartition("-")[2] for entry in book.read().entries]


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ensure", lambda: None)


async def test_the_queue_is_shown_and_changed(
    pilots: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueueScreen, "POLL_SECONDS", 0.05)
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(queue_page, "call", lambda *words: called.append(words) or "a\nb\n")
    async with pilots.open(size=(100, 36)) as pilot:
        await pilot.press("Q")
        await until(pilot, lambda: "Nothing is queued" in shown(pilot))
        queued("one", "two", "three", values={"lora.rank": "8"})
        await until(pilot, lambda: "3 waiting" in shown(pilot) and "rank 8" in shown(pilot))
        await pilot.press("j", "j", "f")
        await until(pilot, lambda: names() == ["three", "one", "two"])
        await pilot.press("p")
        await until(pilot, lambda: not book.read().paused)
        await pilot.press("plus", "p")
        await until(pilot, lambda: book.read().paused)
        await pilot.press("g", "space", "space", "D")  # the first two
        await until(pilot, lambda: names() == ["two"] and len(listing.list_runs()) == 1)
        await pilot.press("u")
        await until(pilot, lambda: names() == ["three", "one", "two"])
        assert len(listing.list_runs()) == 3
        with book.changing() as queue:
            queue.entries[0].outcome, queue.entries[0].message = "failed", "out of memory"
        await until(pilot, lambda: "✗ failed" in shown(pilot))
        await pilot.press("g", "r")
        await until(pilot, lambda: book.read().entries[0].outcome is None)
        await pilot.press("slash", *"two", "enter")
        assert pilot.app.screen.query_one(ListTable).row_count == 1
        study = StudyRequest(name="mine", recipe="", folder=str(paths.home() / "studies" / "mine"))
        with book.changing() as queue:
            queue.entries.append(Entry(number=0, created=1.0, name="mine", study=study))
        await pilot.press("escape")
        await until(pilot, lambda: "study-mine" in shown(pilot))
        await pilot.press("G", "enter")
        await until(pilot, lambda: "report.md" in shown(pilot))
        await pilot.press("k", "enter")
        assert not isinstance(pilot.app.screen, QueueScreen)
        runs = pilot.app.screen.query_one(RunTable)
        await until(pilot, lambda: str(runs.selected).endswith("-two"))


async def test_recipes_and_values_are_queued_by_a_process(
    pilots: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(queue_page, "call", lambda *words: called.append(words) or "a\nb\n")
    text = 'model = "tiny"\n[train]\nsteps = 9\n[[tasks]]\nsource = "tiny:topic-01"\n'
    Path("mine.toml").write_text(text)
    (recipe,) = find_recipes()
    async with pilots.open(size=(80, 24)) as pilot:
        await pilot.app.push_screen(QueueScreen())
        await until(pilot, lambda: "Nothing is queued" in shown(pilot))
        await pilot.press("a")
        assert isinstance(pilot.app.screen, QueueAddScreen)
        await pilot.press("space")
        await until(pilot, lambda: "1 run, one" in shown(pilot))
        pilot.app.screen.query_one("#grid").value = "lora.rank=2,x"
        await until(pilot, lambda: "lora.rank" in shown(pilot).partition("or each pair")[2])
        pilot.app.screen.query_one("#grid").value = "lora.rank=2,4"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: called)
        assert called == [("queue", "add", str(recipe), "--grid=lora.rank=2,4")]
        await until(pilot, lambda: "2 runs queued" in shown(pilot))
        called.clear()
        await pilot.press("a", "space")
        await until(pilot, lambda: "1 run, one" in shown(pilot))
        pilot.app.screen.query_one(Checkbox).value = True
        await until(pilot, lambda: "a study of each" in shown(pilot))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: called == [("queue", "add", f"--study={recipe}")])


async def test_what_takes_room_goes_and_comes_back(pilots: Any, until: Any, shown: Any) -> None:
    folder = RunFolder("whole")
    folder.writer.write("finished", step=1, best_step=1, seconds=1.0)
    kept = folder.run.checkpoint_path(1)
    kept.mkdir(parents=True)
    (kept / "weights").write_bytes(b"0" * 3_000_000)
    (paths.prompts() / "cache").mkdir(parents=True)
    (paths.prompts() / "cache" / "kv").write_bytes(b"0" * 2_000_000)
    async with pilots.open(size=(140, 45)) as pilot:
        await pilot.app.push_screen(DiskScreen())
        await until(pilot, lambda: "3.0 MB" in shown(pilot) and "prompts" in shown(pilot))
        assert "a shows 1 small ones" in shown(pilot)
        await pilot.press("a")
        assert "run  " in shown(pilot)
        await pilot.press("a", "s", "D")
        assert isinstance(pilot.app.screen, ConfirmScreen) and "5.0 MB" in shown(pilot)
        await pilot.press("y")
        await until(pilot, lambda: not kept.exists() and "Empty the trash" in shown(pilot))
        for _ in range(2):
            await until(pilot, lambda: "Undo" in shown(pilot))
            await pilot.press("u")
            await pilot.app.workers.wait_for_complete()
        await until(pilot, kept.exists)
        await until(pilot, lambda: "5.0 MB" in shown(pilot))
        with folder.trained():
            await pilot.press("f5")
            await until(pilot, lambda: "it is being trained" in shown(pilot))
            await pilot.press("D")
            await until(pilot, lambda: "checkpoints" in shown(pilot))
            assert not isinstance(pilot.app.screen, ConfirmScreen)


async def test_models_are_prompted_or_trained(
    pilots: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models_page, "ask", lambda *words: json.dumps(SOME))
    monkeypatch.setattr(ModelsScreen, "known", None)
    posted: list[Any] = []
    async with pilots.open(size=(80, 24)) as pilot:
        page = ModelsScreen()
        await pilot.app.push_screen(page)
        await until(pilot, lambda: "Model-7B" in shown(pilot) and "1 on this disk" in shown(pilot))
        assert "All 1,024 tokens" in shown(pilot)
        monkeypatch.setattr(page, "post_message", posted.append)
        page.action_prompt()
        (prompt,) = posted
        assert isinstance(prompt, PromptModel) and prompt.name == "tiny"
        monkeypatch.undo()
        await pilot.press("j", "p")
        await until(pilot, lambda: "It is not on this disk" in shown(pilot))
        await pilot.press("escape")
        assert pilot.app.screen is not page


async def test_in_a_run_that_has_the_whole_place_keys_move_what_its_tab_shows(
    pilots: Any, run_folder: Any, until: Any
) -> None:
    folder = run_folder("long").steps(3)
    folder.run.recipe_path.write_text(RECIPE + "# a remark\n" * 100, encoding="utf-8")
    async with pilots.open(size=(80, 24)) as pilot:
        screen = pilot.app.screen
        await until(pilot, lambda: screen.selected is not None)
        await pilot.press("enter", *["right_square_bracket"] * 6)
        tab = screen.query_one("#recipe-tab")
        await until(pilot, lambda: tab.max_scroll_y > 50)
        await pilot.press("j")
        await until(pilot, lambda: tab.scroll_y == 1)
        await pilot.press("G")
        await until(pilot, lambda: tab.scroll_y == tab.max_scroll_y)
        await pilot.press("right_square_bracket", "enter")  # a table of files: enter leads back
        await until(pilot, lambda: not screen.has_class("-full"))
        assert pilot.app.focused is screen.query_one(RunTable)
