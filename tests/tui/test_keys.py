"""Fast and careless fingers: keys, pastes, clicks and resizes at random, from fixed seeds.

Quitting is counted and does not end the app, so that nothing else may end it either.
"""

import asyncio
import json
import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from threading import Event as Flag
from typing import Any

import pytest
from textual import events
from textual.geometry import Size
from textual.keys import _character_to_key

from tests.tui.conftest import FakeClient, FakeSession, RunFolder
from tui.app import YofoApp
from tui.data.screen import DataScreen
from tui.prompt.screen import PromptScreen
from tui.runs.screen import RunsScreen
from tui.shared.help import HelpScreen
from yofo_mlx.errors import RunError
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import files

pytestmark = pytest.mark.asyncio

LONG_SEEDS = range(10)
AT_ONCE = 2_000  # events that one app has to bear
BURST = 40  # events at most before a pause

NAMED = (
    *("enter", "escape", "escape", "tab", "shift+tab", "backspace", "delete", "home", "end"),
    *("up", "down", "up", "down", "left", "right", "pageup", "pagedown", "insert"),
    *("ctrl+up", "ctrl+left", "shift+right", "shift+up", "ctrl+end", "alt+a", "ctrl+backspace"),
    *("f1", "f2", "f3", "f4", "f2", "f3", "f4", "f5", "f6", "f7", "f10"),
    *(f"ctrl+{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
)
MEANT = "123123drpnsceoqoxluba/?ynq "  # what some screen obeys
OTHER = "AZ9[]{}\\\"'=.,:-~#%€é中\u202e🙂\u0301"
PASTED = (
    "my card is gone\tlost_card\rwhere is my PIN?\tget_pin\r",
    'a,b\r\n"x, y",z\r\n1,2\r\n',
    '{"input": "one", "output": "two"}\n' * 3,
    "Input: hi\nOutput: greeting\n\nInput: bye\nOutput: farewell\n",
    "[bold]no markup[/nope] \x1b[2J\x07\u2028 \x00",
    "\r\r\n\n\t\t\r",
    "",
    "word " * 300,
    "".join(f"row {n}\tlabel {n % 7}\r" for n in range(40)),
    "中文 🙂\tétiquette\r" * 20,
    "\ud800 half a character\tlabel",
    "mine.toml", "tickets", "rows-*.csv", "nowhere/at/all", "some/hub-id", "~", "train.steps=3",
)  # fmt: skip
SIZES = ((140, 45), (80, 24), (80, 24), (100, 36), (120, 30), (40, 10), (20, 5), (3, 2), (1, 1))

RECIPES = {
    "mine": 'model = "tiny"\n[[tasks]]\nsource = "tickets.csv"\ninput = "text"\noutput = "team"\n',
    "several": 'model = "tiny"\n[[tasks]]\nsource = "rows-*.csv"\n'
    '[[tasks]]\nsource = "tiny:train"\n[[tasks]]\nsource = "some/hub-id"\n',
    "damaged": 'model = "tiny"\n[[tasks]]\nsource = "damaged.jsonl"\n[[tasks]]\nsource = "gone"\n',
    "broken": "[[tasks]]\nsource = \n",
}


class World:
    """What the app shows, and what befalls it while it does."""

    def __init__(self, folder: Path, random: Random, stack: ExitStack) -> None:
        self._folder, self._random, self._stack = folder, random, stack
        self._made = 0
        self.sessions: list[FakeSession] = []
        for name, text in RECIPES.items():
            (folder / f"{name}.toml").write_text(text)
        rows = "".join(f"question {n},team {n % 3}\n" for n in range(60))
        (folder / "tickets.csv").write_text("text,team\n" + rows + "question 1,team 2\n,\n")
        for n in range(5):
            (folder / f"rows-{n}.csv").write_text(f"input,output\nlion tiger {n},Alice\n" * 4)
        damaged = [json.dumps({"input": "x", "output": "y"}), '{"input": ', "\x00", "[]"]
        (folder / "damaged.jsonl").write_text("\n".join(damaged))
        self._populate()

    def _populate(self) -> None:
        RunFolder("just created")
        RunFolder("stopped").steps(9).run.events_path.with_suffix(".odd").touch()
        failed = RunFolder("failed").steps(2)
        failed.writer.write("failed", message="no [/way] out", hint="try \x1b[31m again")
        finished = RunFolder("finished", steps=30).steps(30).adapter()
        finished.validate(30, {0: 0.2, 4: 0.8})
        finished.evaluate(3, {0: 0.1, 4: 0.6})
        finished.writer.write("finished", step=30, loss=0.1)
        self.living = RunFolder("living").steps(3).adapter()
        self._at = 3
        self._stack.enter_context(self.living.trained())
        damaged = RunFolder("damaged").steps(2)
        damaged.run.events_path.write_text('{"odd')
        self._doomed = [RunFolder(f"doomed {n}").steps(4).adapter() for n in range(3)]

    def befall(self) -> None:
        """Let something happen that no key asked for."""
        match self._random.randrange(8):
            case 0 if self._doomed:
                shutil.rmtree(self._doomed.pop().run.path)
            case 1 if self._doomed:
                path = self._doomed.pop().run.path
                path.rename(path.with_name(f"{path.name}-renamed"))
            case 2:
                with self.living.run.stop_path.open("a"):
                    pass
            case 3:
                (self._folder / "mine.toml").write_text(RECIPES[self._random.choice([*RECIPES])])
            case 4:
                (self._folder / "mine.toml").unlink(missing_ok=True)
            case _:
                self._at += 1
                self.living.step(self._at, 4.0 / self._at)

    def session(self) -> FakeSession:
        """Return a session that answers, waits to be cancelled, dies, or fails in an odd way."""
        made = FakeSession()
        match self._random.randrange(5):
            case 0:
                made.hold = Flag()
            case 1:
                made.dies = True
            case 2:
                made.answer = None  # type: ignore[assignment]
        self.sessions.append(made)
        return made

    def start(self, recipe: Path, changes: list[str]) -> Run:
        """Stand in for a trainer: a new run, or one of the ways in which there is none."""
        self._made += 1
        match self._random.randrange(5):
            case 0:
                raise RunError(f"{recipe}: no [/way]", "")
            case 1:
                raise OSError(28, "No space left on device")
            case 2:
                raise ZeroDivisionError(str(changes))
        if self._made > 8:
            raise RunError("there are enough", "")
        return RunFolder(f"started {self._made}").steps(2).run

    def resume(self, run: Run) -> None:
        """Stand in for a trainer that goes on."""
        self.start(run.recipe_path, [])


class Player:
    """Fingers on an app; remembers the last things they did."""

    def __init__(self, app: YofoApp, random: Random, world: World) -> None:
        self._app, self._random, self._world = app, random, world
        self.last: deque[str] = deque(maxlen=40)
        self.done = 0

    async def play(self, number: int) -> None:
        """Act so many times, in bursts; after each, the app must still be there."""
        end = self.done + number
        while self.done < end:
            for _ in range(min(self._random.randint(1, BURST), end - self.done)):
                self._act()
                if self._random.random() < 0.04:
                    await asyncio.sleep(0)
            await self._settle(self._random.choice((0, 0, 0, 0, 0.02, 0.3)))
            self._world.befall()
            if self._random.random() < 0.15:
                await self.answers()
        await self.answers()

    async def answers(self) -> None:
        """Check that keys still lead somewhere: out of every dialog, to Runs, to the help."""
        await self._press_until(("escape", "f3"), RunsScreen)
        await self._press_until(("escape", "f1"), HelpScreen)  # a dialog may have come late
        await self._press_until(("escape",), (RunsScreen, DataScreen, PromptScreen))

    async def _press_until(self, keys: tuple[str, ...], screen: Any) -> None:
        """Press keys again and again: those before them may take their time on their way."""
        for tries in range(40):
            for key in keys:
                self._key(key)
                await self._settle(0.01 * tries)
            if isinstance(self._app.screen, screen):
                return
        raise AssertionError(f"{keys} lead to no {screen}, but {self._app.screen}")

    def _act(self) -> None:
        self.done += 1
        kind = self._random.random()
        if kind < 0.45:
            self._key(self._random.choice(MEANT))
        elif kind < 0.84:
            self._key(self._random.choice(NAMED))
        elif kind < 0.90:
            self._key(self._random.choice(OTHER))
        elif kind < 0.93:
            self._post(events.Paste(self._random.choice(PASTED)))
        elif kind < 0.98:
            self._click()
        else:
            size = Size(*self._random.choice(SIZES))
            self._app._driver._size = size  # type: ignore[union-attr]
            self._post(events.Resize(size, size))

    def _key(self, key: str) -> None:
        character = key if len(key) == 1 else None
        name = _character_to_key(key) if character else key
        self._post(events.Key(name, character), f"key {key!r}")

    def _click(self) -> None:
        size = self._app.size
        x, y = (self._random.randrange(max(1, most)) for most in size)
        at = {"widget": None, "x": x, "y": y, "delta_x": 0, "delta_y": 0, "button": 1}
        at |= {"shift": False, "meta": False, "ctrl": False, "screen_x": x, "screen_y": y}
        kinds: list[type[events.MouseEvent]] = [events.MouseMove]
        if self._random.random() < 0.3:
            kinds.append(self._random.choice((events.MouseScrollDown, events.MouseScrollUp)))
        else:
            kinds += [events.MouseDown, events.MouseUp] * self._random.choice((1, 1, 2))
        for kind in kinds:
            self._post(kind(**at), f"{kind.__name__} at {x}, {y} of {size.width}x{size.height}")

    def _post(self, event: events.Event, said: str = "") -> None:
        self.last.append(said or f"{event!r}"[:100])
        self._app._driver.send_message(event)  # type: ignore[union-attr]

    async def _settle(self, seconds: float) -> None:
        """Wait until what was posted is obeyed, and a moment longer."""
        obeyed = Flag()
        self._app.call_later(obeyed.set)
        await self._until(obeyed.is_set, "an end of what was posted")
        await asyncio.sleep(seconds)
        assert len(self._app.screen_stack) >= 1

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 100
        while True:
            if (error := self._app._exception) is not None:
                raise AssertionError("the app ended by a defect") from error
            assert self._app.is_running, "the app ended"
            if holds():
                return
            assert time.monotonic() < end, f"{what} never came: {self._app.screen}"
            await asyncio.sleep(0.005)


def app_over(world: World) -> YofoApp:
    """Return an app over that world that cannot be quit."""
    client: Any = FakeClient(world.session)

    class Unending(YofoApp):
        MODES = {**YofoApp.MODES, "prompt": lambda: PromptScreen(client)}  # noqa: RUF012
        quits = 0

        def exit(self, *arguments: Any, **options: Any) -> None:
            self.quits += 1

    return Unending()


@pytest.fixture
def confined(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the app write nowhere else, whatever names are typed."""
    write = files.write_text

    def write_here(path: Path, text: str) -> None:
        if empty_folder not in path.resolve().parents:
            raise PermissionError(13, "Permission denied")
        write(path, text)

    monkeypatch.setattr("tui.prompt.save.files.write_text", write_here)
    monkeypatch.setenv("HOME", str(empty_folder))
    monkeypatch.setattr("tui.runs.screen.POLL_SECONDS", 1.0)  # below a dialog each look costs
    return empty_folder


async def sit(seed: str, number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Play with one app; say how to do it again if it goes wrong."""
    random = Random(seed)
    with ExitStack() as stack:
        world = World(folder, random, stack)
        monkeypatch.setattr("tui.runs.actions.start_detached", world.start)
        monkeypatch.setattr("tui.runs.actions.resume_detached", world.resume)
        app = app_over(world)
        player = Player(app, random, world)
        try:
            async with app.run_test(size=(100, 36), notifications=True):
                await player.play(number)
        except BaseException as error:
            error.add_note(f"seed {seed!r}, after {player.done} events, the last ones:")
            error.add_note("\n".join(player.last))
            raise


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.long) for seed in "ab"])
async def test_no_thousand_keys_end_the_app(
    seed: str, confined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sit(seed, 1_000, confined, monkeypatch)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", LONG_SEEDS)
async def test_no_ten_thousand_keys_end_the_app(
    seed: int, confined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sitting in range(10_000 // AT_ONCE):
        folder = confined / str(sitting)
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("YOFO_HOME", str(folder / "runs"))
        await sit(f"{seed}.{sitting}", AT_ONCE, folder, monkeypatch)
