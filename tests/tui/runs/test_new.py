"""New run: the form, what it comes to, saving and starting."""

from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from tests.tui.conftest import FakePreview
from tests.tui.pictures import check_picture
from tui.runs import new_draft
from tui.runs.new import NewRunScreen
from tui.runs.new_form import RunForm
from tui.runs.new_tables import KeyTable, SourceTable
from tui.shared.messages import TrainOn
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import paths

pytestmark = pytest.mark.asyncio

MINE = """\
description = "cards"
model = "tiny"
train.steps = 5
[[tasks]]
source = "tiny:topic-01"
[[tasks]]
source = "tiny:new-topic-01"
role = "held_out"
"""
PLAN = {
    "needed_gb": 23.1, "limit_gb": 154.0, "fits": True, "longest_max_tokens": 90000,
    "weights_gb": 4.1, "activations_kept_gb": 6.0, "keys_values_gb": 2.2,
    "activations_work_gb": 10.8, "adapter_gb": 0.03, "optimizer_gb": 0.06, "gradients_gb": 0.03,
    "method": "chunked", "chunk": 512, "stash": 4, "counted": "drawn", "steps": 2000,
    "tokens": 38_900_000, "targets": 11_200_000, "longest_episode": 32640, "shots": 340.0,
    "free_gb": 312.0, "is_here": True,
    "speed": {"words": "from 20260101-000000-before, episodes of 19,450 tokens"},
    "tokens_per_s": 1840.0, "seconds_total": 21141.0, "seconds_validating": 0.0,
    "warnings": [["a held-out task is trained on", "look at it"]],
}  # fmt: skip
ROW = {"role": "train", "tasks": 1, "rows": 4102, "tokens": 61000, "shots": 812, "notes": []}
EPISODE = {
    "plan": PLAN,
    "wrong": [],
    "sources": [
        ROW | {"place": 0, "name": "intents", "state": "read"},
        ROW | {"place": 1, "name": "cards", "state": "read", "notes": ["3 rows left out"]},
    ],
    "episode": {
        "task": "intents", "shots": 340, "tokens": 32640, "targets": 9410, "renamed": {},
        "pieces": [["Input: my card is gone\nOutput:", False], [" lost_card\n\n", True]],
    },
    "mean": None,
}  # fmt: skip


@pytest.fixture
def mine(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tui.runs.new.LOOK_AFTER", 0.01)
    monkeypatch.setattr(FakePreview, "answers", {"plan": PLAN, "episode": EPISODE})
    monkeypatch.setattr(FakePreview, "asked", [])
    new_draft.forget()
    path = empty_folder / "mine.toml"
    path.write_text(MINE)
    return path


def form_of(pilot: Any) -> RunForm:
    form: RunForm = pilot.app.screen.query_one(RunForm)
    return form


async def to_key(pilot: Any, key: str) -> None:
    pilot.app.screen.query_one(KeyTable).select(key)
    await pilot.pause()


async def test_a_key_is_edited_in_its_place_and_a_mistake_is_told_at_once(
    pilots: Any, until: Any, shown: Any, mine: Path
) -> None:
    async with pilots.open(size=(140, 45)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "lost_card" in shown(pilot))
        form = form_of(pilot)
        await to_key(pilot, "optimizer.learning_rate")
        assert "Peak learning rate" in shown(pilot)
        await pilot.press("enter", *"fast")
        await until(pilot, lambda: "must be a number (it is 'fast')" in shown(pilot))
        assert "waits until the mistakes" in shown(pilot)
        await pilot.press("escape")
        assert not form.mistakes and form.draft and not form.draft.changes
        await pilot.press("enter", *"2e-4", "down")  # the schedule, of which one is chosen
        assert form.draft.changes == {"optimizer.learning_rate": 2e-4}
        await until(pilot, lambda: "learning_rate = 0.0002" in shown(pilot))
        assert "was 0.0001" in shown(pilot)
        await pilot.press("space", "r", "space", "space")
        assert form.draft.changes["optimizer.schedule"] == "constant"
        await to_key(pilot, "train.steps")
        for key in ("enter", *"70", "tab", *"900", "enter"):  # all before the first is obeyed
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: "train.tokens" in form.draft.changes)
        assert form.draft.data()["train"] == {"steps": 70, "tokens": 900}
        await until(pilot, lambda: "give exactly one of" in shown(pilot))
        await pilot.press("r")
        assert not form.mistakes
        await until(pilot, lambda: FakePreview.asked[-1][1]["data"]["train"] == {"steps": 70})
        for key in ("slash", *"warmup", "enter", "enter", *"0.25", "enter"):  # likewise
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: form.draft.changes.get("optimizer.warmup") == 0.25)


@pytest.mark.long
async def test_data_sets_change_role_go_and_come_back(
    pilots: Any, until: Any, shown: Any, mine: Path
) -> None:
    async with pilots.open(size=(140, 45)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "lost_card" in shown(pilot))
        form = form_of(pilot)
        assert form.draft
        pilot.app.screen.query_one(SourceTable).focus()
        await pilot.press("D")
        assert [one["source"] for one in form.draft.sources] == ["tiny:new-topic-01"]
        await until(pilot, lambda: 'no task has `role = "train"`' in shown(pilot))
        await pilot.press("space")
        assert form.draft.sources[0]["role"] == "train" and not form.mistakes
        await pilot.press("u")
        assert not form.draft.is_changed
        await pilot.press("enter")
        await until(pilot, lambda: "tasks.0.source" in shown(pilot))
        await pilot.press("escape", "a", *"x.csv", "enter")
        assert form.draft.sources[-1] == {"source": "x.csv"}
        await pilot.press("slash", *"renamed zzz")
        await until(pilot, lambda: "No key has these words." in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "run's name" in shown(pilot))


@pytest.mark.long
async def test_a_run_is_started_and_a_refusal_stays_with_its_draft(
    pilots: Any, run_folder: Any, until: Any, shown: Any, mine: Path
) -> None:
    asked: list[tuple[str, str]] = []

    def start(recipe: Path, changes: list[str], name: str = "") -> Run:
        asked.append((recipe.read_text(), name))
        if len(asked) == 1:
            raise RecipeError("it would not fit", "take less")
        run: Run = run_folder("fives").run
        return run

    async with pilots.open() as pilot:
        runs = pilot.app.screen
        runs.starter = start
        await pilot.press("n", "enter", *"fives", "enter", "ctrl+s")
        await until(
            pilot, lambda: "it would not fit" in shown(pilot) and "take less" in shown(pilot)
        )
        form_of(pilot).put("train.steps", "fast")
        await pilot.press("ctrl+s")
        assert len(asked) == 1
        form_of(pilot).put("train.steps", 6)
        await until(pilot, lambda: new_draft.kept() is not None)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: pilot.app.screen is runs and runs.selected is not None)
        assert runs.selected.run.run_id.endswith("fives")
    assert asked[0] == (MINE, "fives") and asked[1][1] == "fives" and "steps = 6" in asked[1][0]
    assert new_draft.kept() is None


async def test_a_draft_is_there_again_is_saved_and_is_left(
    pilots: Any, until: Any, shown: Any, mine: Path
) -> None:
    async with pilots.open(size=(140, 45)) as pilot:
        runs = pilot.app.screen
        await pilot.press("n")
        await until(pilot, lambda: "lost_card" in shown(pilot))
        form_of(pilot).put("lora.rank", 4)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is runs)
        looks = len(FakePreview.asked)
        pilot.app.post_message(TrainOn([TaskSource(source="tiny:topic-05")], mine))
        await until(pilot, lambda: len(FakePreview.asked) > looks)  # only looked at
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is runs)
        await pilot.press("n")
        await until(pilot, lambda: "rank = 4" in shown(pilot))
        await pilot.press("ctrl+w")
        line = pilot.app.screen.query_one("#asked Input", Input)
        line.value = "mine"
        await pilot.press("enter")
        await until(pilot, lambda: "no name of a recipe" in shown(pilot))
        line.value = "four.toml"
        await pilot.press("enter")
        await until(pilot, lambda: (mine.parent / "four.toml").is_file())
        assert form_of(pilot).draft.recipe.name == "four.toml"  # type: ignore[union-attr]
        await pilot.press("ctrl+n")
        await until(pilot, lambda: form_of(pilot).draft is not None)
        assert isinstance(pilot.app.screen, NewRunScreen)


async def test_what_went_wrong_stays_told_and_a_text_that_was_not_read_is_kept(
    pilots: Any, until: Any, shown: Any, mine: Path
) -> None:
    async with pilots.open(size=(140, 45)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "lost_card" in shown(pilot))
        await pilot.press("ctrl+e")  # here there is no terminal that an editor could have
        await until(pilot, lambda: "cannot be lent to an editor" in shown(pilot))
        await pilot.press("f5")  # the data are read anew, which shows the form again
        await pilot.resize_terminal(139, 45)
        await until(pilot, lambda: "cannot be lent to an editor" in shown(pilot))
        (text,) = (paths.home() / "drafts").glob("*.toml")
        text.write_text("[oops")
        await pilot.press("ctrl+e")
        assert text.read_text() == "[oops"
        form_of(pilot).put("lora.rank", 4)
        await pilot.pause()
        assert "cannot be lent" not in shown(pilot)
        await pilot.press("ctrl+e")
        assert "rank = 4" in text.read_text()


async def test_why_a_data_set_cannot_be_read_is_told_whole(
    pilots: Any, until: Any, shown: Any, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = [f"{mine.parent}/cards.csv:4: the input is empty", "fill it, or leave bad rows out"]
    wrong = ROW | {"place": 0, "name": "cards", "state": "wrong", "why": why}
    answer = EPISODE | {"sources": [wrong], "episode": None}
    monkeypatch.setattr(FakePreview, "answers", {"plan": PLAN, "episode": answer})
    async with pilots.open(size=(140, 45)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "cards.csv:4: the input is empty" in shown(pilot))
        assert "fill it, or leave bad rows out" in shown(pilot)
        assert str(mine.parent) not in shown(pilot).partition("what will be written")[0]


async def test_data_and_recipes_come_into_the_form_that_is_open(
    pilots: Any, until: Any, shown: Any, mine: Path
) -> None:
    other = mine.parent / "other.toml"
    other.write_text(MINE.replace("steps = 5", "steps = 7"))
    async with pilots.open(size=(140, 45)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "lost_card" in shown(pilot))
        form_of(pilot).put("lora.rank", 4)
        page = pilot.app.screen
        await pilot.press("f2")
        pilot.app.post_message(TrainOn([TaskSource(source="tiny:topic-05")], mine))
        await until(pilot, lambda: pilot.app.screen is page and "tiny:topic-05" in shown(pilot))
        draft = form_of(pilot).draft
        assert draft and draft.changes == {"lora.rank": 4} and len(draft.sources) == 3
        await pilot.press("ctrl+p", *"other")
        await until(pilot, lambda: "New run: cards" in shown(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: form_of(pilot).draft.recipe == other)  # type: ignore[union-attr]
        draft = form_of(pilot).draft
        assert draft and draft.changes == {"lora.rank": 4}
        assert [one["source"] for one in draft.sources][2:] == ["tiny:topic-05"]


@pytest.mark.parametrize(("width", "height"), [(140, 45), (80, 24)])
async def test_the_form_as_it_looks(
    pilots: Any, until: Any, shown: Any, mine: Path, width: int, height: int
) -> None:
    async with pilots.open(size=(width, height)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "lost_card" in shown(pilot))
        form_of(pilot).put("episodes.max_tokens", 32768)
        await to_key(pilot, "optimizer.learning_rate")
        await pilot.press("enter", *"fast", "enter")
        await until(pilot, lambda: "it is 'fast'" in shown(pilot))
        await pilot.pause()
        check_picture(pilot.app, f"new-run-{width}x{height}")
