"""The app and a real session process that is stuck, killed, or has nothing to load."""

import os
import shutil
import signal
from typing import Any

import pytest

from tests.tui.prompt.test_prompt import THREE, ask, exchanges, paste
from tui.prompt import sitting
from tui.prompt.fields import QueryField
from tui.prompt.row_table import RowTable
from tui.prompt.screen import PromptScreen
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.system import paths

pytestmark = pytest.mark.asyncio


@pytest.fixture
def clients(sessions: Any) -> list[SessionClient]:
    """Let the app start real sessions; return them."""
    made: list[SessionClient] = []

    def make() -> SessionClient:
        made.append(SessionClient())
        return made[-1]

    sessions.make = make
    return made


@pytest.fixture(autouse=True)
def nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let questions alone say what is read."""
    monkeypatch.setattr(sitting, "READ_AFTER", 3600)


def send(client: SessionClient, number: int) -> None:
    assert client.pid is not None
    os.kill(client.pid, number)


def state(screen: PromptScreen) -> str:
    return str(screen.query_one("#state").render())


async def answered(pilot: Any, until: Any, question: str) -> PromptScreen:
    """Ask, and wait for a real answer."""
    screen: PromptScreen = pilot.app.screen
    before = len(exchanges(pilot))
    await ask(pilot, question)
    await until(pilot, lambda: len(exchanges(pilot)) > before)
    await until(pilot, lambda: screen.is_idle, 120)
    return screen


async def test_counts_are_those_of_the_session(
    pilots: Any, until: Any, shown: Any, clients: list[SessionClient]
) -> None:
    async with pilots.open("prompt", size=(120, 36)) as pilot:
        await paste(pilot, "".join(f"word {n}\tl{n % 3}\r" for n in range(2_000)))
        await until(
            pilot, lambda: "2,000 demonstrations" in shown(pilot) and "not read yet" in shown(pilot)
        )
        screen = await answered(pilot, until, "word")
        chosen, _, offered = str(screen.query_one(RowTable).border_title).partition(" of ")
        assert offered.startswith("2,000 shots") and 0 < int(chosen) < 2_000
        assert f"{chosen} of 2,000 chosen with seed" in shown(pilot).replace("\n", " ")
        await pilot.press("escape")
        await paste(pilot, "more\tx\n")
        await until(
            pilot, lambda: "2,001 demonstrations" in shown(pilot) and "not read yet" in shown(pilot)
        )
        assert "chosen with seed" not in shown(pilot)


@pytest.mark.long
async def test_a_second_escape_ends_a_stuck_session_and_gives_the_question_back(
    pilots: Any, until: Any, shown: Any, clients: list[SessionClient]
) -> None:
    async with pilots.open("prompt", size=(120, 36)) as pilot:
        await paste(pilot, THREE)
        screen = await answered(pilot, until, "one")
        send(clients[0], signal.SIGSTOP)
        await ask(pilot, "two")
        await until(pilot, lambda: not screen.is_idle)
        await pilot.press("escape")
        await until(pilot, lambda: "escape again ends the model" in state(screen))
        await pilot.press("escape")
        await until(pilot, lambda: screen.is_idle, 10)
        assert screen.query_one(QueryField).text == "two"
        await until(pilot, lambda: "that starts another" in shown(pilot))
        assert "SIGKILL" not in shown(pilot)
        assert "3 demonstrations" in shown(pilot) and "not read yet" in state(screen)
        await answered(pilot, until, "two")
        assert len(clients) == 2 and clients[1].is_alive


@pytest.mark.long
async def test_a_session_that_is_stuck_with_a_full_pipe_is_freed_as_well(
    pilots: Any, until: Any, clients: list[SessionClient]
) -> None:
    async with pilots.open("prompt") as pilot:
        screen = await answered(pilot, until, "one")
        send(clients[0], signal.SIGSTOP)
        await pilot.press("escape")
        await paste(pilot, "".join(f"word {n}\tl{n % 3}\n" for n in range(20_000)))
        await ask(pilot, "two")
        await until(pilot, lambda: not screen.is_idle)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: screen.is_idle, 10)


async def test_the_app_can_be_left_while_a_session_is_stuck(
    pilots: Any, until: Any, clients: list[SessionClient]
) -> None:
    async with pilots.open("prompt") as pilot:
        screen = await answered(pilot, until, "one")
        send(clients[0], signal.SIGSTOP)
        await ask(pilot, "two")
        await until(pilot, lambda: not screen.is_idle)
    assert not clients[0].is_alive


@pytest.mark.parametrize("stage", ["loading", "answering"])
async def test_a_session_that_dies_gives_the_question_back_and_claims_nothing(
    pilots: Any, until: Any, shown: Any, clients: list[SessionClient], stage: str
) -> None:
    async with pilots.open("prompt", size=(120, 36)) as pilot:
        await paste(pilot, THREE)
        screen: PromptScreen = pilot.app.screen
        if stage == "answering":
            await answered(pilot, until, "zero")
            send(clients[0], signal.SIGSTOP)
        await ask(pilot, "one")
        await until(pilot, lambda: stage in state(screen) and clients[0].pid)
        send(clients[0], signal.SIGKILL)
        await until(pilot, lambda: screen.is_idle)
        assert screen.query_one(QueryField).text == "one"
        await until(pilot, lambda: "killed by SIGKILL" in shown(pilot))
        assert "starts another" in shown(pilot)
        assert "3 demonstrations" in shown(pilot) and "not read yet" in shown(pilot)


@pytest.mark.long
async def test_a_session_that_died_between_two_questions_is_followed_by_one_that_shows_the_same(
    pilots: Any, until: Any, shown: Any, clients: list[SessionClient]
) -> None:
    async with pilots.open("prompt", size=(120, 36)) as pilot:
        await paste(pilot, THREE)
        screen = await answered(pilot, until, "one")
        field = screen.query_one(RowTable)
        await pilot.press("escape")
        await paste(pilot, "".join(f"word {n}\tl{n % 3}\n" for n in range(2_000)))
        await until(pilot, lambda: "2,003 demonstrations" in shown(pilot))
        await answered(pilot, until, "two")
        title, answer = field.border_title, exchanges(pilot)[-1].answer
        send(clients[0], signal.SIGKILL)
        await until(pilot, lambda: clients[0].ended)
        await ask(pilot, "two")
        await until(pilot, lambda: "killed by SIGKILL" in shown(pilot))
        await until(pilot, lambda: screen.is_idle, 120)
        assert (field.border_title, exchanges(pilot)[-1].answer) == (title, answer)
        assert len(clients) == 2


@pytest.mark.long
async def test_a_run_that_is_deleted_meanwhile_is_told_and_the_prompt_goes_on(
    pilots: Any, until: Any, shown: Any, run_folder: Any, clients: list[SessionClient]
) -> None:
    folder = run_folder("gone").steps(2).adapter()
    async with pilots.open("prompt", size=(120, 36)) as pilot:
        shutil.rmtree(folder.run.path)
        screen = await answered(pilot, until, "one")
        await until(pilot, lambda: "no run" in shown(pilot))
        assert screen.query_one(QueryField).text == "one"
        await pilot.press("escape", "2", "3")
        await until(pilot, lambda: "is gone;" in shown(pilot))
        await answered(pilot, until, "one")
        assert paths.runs().is_dir()
