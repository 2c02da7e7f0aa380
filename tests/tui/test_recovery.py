"""What the app makes of threads that fail, folders that are odd, and names that are alike."""

import shutil
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from textual.widgets import OptionList, Select

from tui.prompt import models
from tui.prompt.fields import QueryField
from tui.prompt.screen import PromptScreen
from tui.runs import follow
from tui.runs.starting import start_detached
from tui.runs.table import RunTable
from tui.shared.recipes import find_recipes
from tui.shared.recovery import Recovering
from yofo_mlx.errors import RunError
from yofo_mlx.runs import launch, listing
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.system import paths

pytestmark = pytest.mark.asyncio

RECIPE = 'model = "{}"\ntrain.steps = 5\n[[tasks]]\nname = "{}"\nsource = "tiny:train"\n'


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the app's screens tell on top of themselves."""
    said: list[str] = []
    monkeypatch.setattr(Recovering, "notify", lambda self, words, **options: said.append(words))
    return said


def break_run(monkeypatch: pytest.MonkeyPatch, broken: Run) -> Event:
    """Let the reading of one run fail until the event is set; return it."""
    poll, mended = follow.Follower.poll, Event()

    def fail(self: follow.Follower) -> Any:
        if self.view.run.path == broken.path and not mended.is_set():
            raise ValueError("odd [/one]\x1b[2J")
        return poll(self)

    monkeypatch.setattr(follow.Follower, "poll", fail)
    return mended


async def test_a_run_that_cannot_be_read_is_told_once_and_hides_no_other(
    pilots: Any,
    run_folder: Any,
    until: Any,
    shown: Any,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken, other = run_folder("broken").steps(3), run_folder("other").steps(7)
    mended = break_run(monkeypatch, broken.run)
    async with pilots.open() as pilot:
        await until(pilot, lambda: "7/100" in shown(pilot) and told)
        other.step(8, 0.5)
        await until(pilot, lambda: "8/100" in shown(pilot))  # it goes on looking
        assert told == ["ValueError: odd [/one]\\x1b[2J"]
        assert "broken" in shown(pilot)
        mended.set()
        await until(pilot, lambda: "3/100" in shown(pilot))


async def test_names_are_there_before_what_is_in_the_runs_is_read(
    pilots: Any, run_folder: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        run_folder(name).steps(3)
    go, poll = Event(), follow.Follower.poll
    monkeypatch.setattr(follow.Follower, "poll", lambda self: go.wait(30) and poll(self))
    async with pilots.open() as pilot:
        await until(pilot, lambda: "first" in shown(pilot) and "second" in shown(pilot))
        assert "Run the demo" not in shown(pilot)
        go.set()
        await until(pilot, lambda: "3/100" in shown(pilot))


async def test_while_it_looks_for_runs_it_does_not_say_that_there_are_none(
    pilots: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, list_runs = Event(), listing.list_runs
    monkeypatch.setattr(listing, "list_runs", lambda: (go.wait(30), list_runs())[1])
    async with pilots.open() as pilot:
        assert "looking for runs" in shown(pilot) and "Run the demo" not in shown(pilot)
        go.set()
        await until(pilot, lambda: "Run the demo" in shown(pilot))


@pytest.mark.parametrize("model", ["/m/[/nope]x", "[bold]b[/bold]", "/m/\x1b[2J\u202e"])
async def test_the_list_of_models_takes_a_name_for_what_it_is(
    pilots: Any, run_folder: Any, until: Any, shown: Any, model: str
) -> None:
    folder = run_folder("odd one").adapter()
    escaped = model.replace("\x1b", "\\u001b").replace("\u202e", "\\u202e")
    folder.run.recipe_path.write_text(RECIPE.format(escaped, "a"))
    target = folder.run.path.with_name("[odd [bold] \x9b31m")
    folder.run.path.rename(target)
    offered = "\n".join(models.choices().values())
    assert "\x1b" not in offered and "\x9b" not in offered
    async with pilots.open("prompt") as pilot:
        pilot.app.screen.query_one(Select).focus()
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.query_one(Select).expanded)
        await until(pilot, lambda: "[odd [bold]" in shown(pilot))
        assert pilot.app.screen.query_one(Select).value == f"run:{target.name}"


async def test_a_question_that_fails_in_an_unknown_way_does_not_lock_the_prompt(
    pilots: Any, sessions: Any, until: Any, shown: Any
) -> None:
    def prepare(session: Any) -> None:
        if len(sessions.made) == 1:
            session.answer = None  # not a list: a TypeError in the worker

    sessions.prepare = prepare
    async with pilots.open("prompt") as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, PromptScreen)
        for question in ("one", "two"):
            field = screen.query_one(QueryField)
            field.focus()
            field.text = question
            await pilot.press("enter")
            await until(pilot, lambda: screen.is_idle)
            sessions.made[0].answer = ["fine"]
        await until(pilot, lambda: "fine" in shown(pilot))
        assert "TypeError" in shown(pilot)


async def test_a_run_whose_start_fails_in_an_unknown_way_can_be_tried_again(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    (empty_folder / "mine.toml").write_text(RECIPE.format("tiny", "a"))
    asked: list[Path] = []

    def start(recipe: Path, changes: list[str], name: str = "") -> Run:
        asked.append(recipe)
        raise ZeroDivisionError("no [/way]")

    async with pilots.open() as pilot:
        pilot.app.screen.starter = start
        await pilot.press("n", "ctrl+s")
        await until(pilot, lambda: "no [/way]" in shown(pilot))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(asked) == 2)


@pytest.mark.long
async def test_two_recipes_of_one_name_are_told_apart(
    pilots: Any, until: Any, shown: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = empty_folder / "shipped" / "mistral.toml"
    shipped.parent.mkdir()
    shipped.write_text(RECIPE.format("tiny", "theirs"))
    (empty_folder / "mistral.toml").write_text(RECIPE.format("tiny", "mine [/x]"))
    monkeypatch.setattr("tui.shared.recipes.shipped_recipes", lambda: [shipped])
    async with pilots.open(size=(120, 40)) as pilot:
        await pilot.press("1")
        await until(pilot, lambda: shown(pilot).count("mistral") == 2)
        assert "this folder" in shown(pilot) and "shipped" in shown(pilot)
        options = pilot.app.screen.query_one(OptionList)
        for place in (1, 0, 1):
            options.highlighted = place
            await until(pilot, lambda: "lion" in shown(pilot) or "train" in shown(pilot))
            assert pilot.app.screen.chosen.key.endswith(["", "shipped/"][place] + "mistral.toml")
        await pilot.press("2", "n")
        await until(pilot, lambda: "mistral.toml" in shown(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Recipe" in shown(pilot))
        assert "this folder" in shown(pilot) and "shipped" in shown(pilot)


async def test_the_shipped_recipes_are_listed_once_where_they_lie(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = [
        Path(shutil.copy(path, empty_folder)) for path in paths.shipped_recipes().glob("*.toml")
    ]
    monkeypatch.setattr("tui.shared.recipes.shipped_recipes", lambda: shipped)
    assert sorted(find_recipes()) == sorted(shipped)


async def test_a_run_that_cannot_fit_is_refused_before_it_has_a_folder(empty_folder: Path) -> None:
    path = empty_folder / "mine.toml"
    path.write_text(RECIPE.format("tiny", "a"))
    with pytest.raises(RunError) as caught:
        start_detached(path, ["memory.limit_gb=0.001"])
    assert "of memory; there are" in caught.value.message and caught.value.hint
    assert not paths.runs().exists()


async def test_the_cursor_may_be_on_a_run_that_is_not_read_yet(
    pilots: Any, run_folder: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder("odd").steps(2)
    break_run(monkeypatch, folder.run)
    async with pilots.open() as pilot:
        await until(pilot, lambda: pilot.app.screen.query_one(RunTable).row_count == 1)
        await pilot.press("p", "s", "c")
        assert "odd" in shown(pilot)


async def test_a_recipe_that_was_edited_is_told_beside_its_run(
    pilots: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    path = empty_folder / "mine.toml"
    path.write_text(RECIPE.format("tiny", "a"))
    run = launch.create_run(load_recipe(path), "mine")
    async with pilots.open() as pilot:
        await until(pilot, lambda: "mine" in shown(pilot))
        assert "was edited" not in shown(pilot)
        run.recipe_path.write_text(run.recipe_path.read_text().replace("steps = 5", "steps = 6"))
        await until(pilot, lambda: "its recipe.toml was edited since" in shown(pilot))


ODD = {"most": 1e308, "least": -1e308, "1e9": 1e9, "minus": -5, "integer": 10**400}
NONE = {"text": "x", "list": [], "null": None, "bool": True}


@pytest.mark.parametrize("odd", (ODD | NONE).values(), ids=ODD | NONE)
async def test_figures_out_of_all_measure_are_drawn_in_no_time(
    pilots: Any, run_folder: Any, until: Any, shown: Any, told: list[str], odd: Any
) -> None:
    folder = run_folder("wild").steps(3)
    for step in (4, odd):
        rows = [{"shots": 0, "accuracy": odd, "loss": odd}, {"shots": 4, "accuracy": 0.5}]
        folder.writer.write("eval", step=step, loss=odd, by_shots=rows, best=True)
        folder.writer.write("progress", step=step, done=odd, total=odd, phase=odd)
    figures = {"seconds_left": odd, "tokens_per_s": odd, "peak_gb": odd, "shots": odd}
    for step, loss in ((4, -1e308), (5, odd), (odd, 1e308)):
        folder.writer.write("step", step=step, loss=loss, share=odd, **figures)
    async with pilots.open() as pilot:
        await until(pilot, lambda: "by shots" in shown(pilot) and "wild" in shown(pilot))
        await pilot.press("p")
        assert pilot.app.return_code in (None, 0)
        assert not [words for words in told if "Error" in words]
