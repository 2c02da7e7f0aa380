"""Prompt: demonstrations, questions, answers as they come."""

import os
from threading import Event
from typing import Any

import pytest
from textual import events
from textual.widgets import Select

from tui.prompt.demonstrations import Demonstrations
from tui.prompt.fields import QueryField
from tui.prompt.screen import PromptScreen
from tui.prompt.transcript import Transcript

pytestmark = pytest.mark.asyncio

THREE = "my card is gone\tlost_card\nwhere is my PIN?\tget_pin\nsend money\ttransfer\n"


async def paste(pilot: Any, text: str) -> None:
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()


async def ask(pilot: Any, question: str) -> None:
    field = pilot.app.screen.query_one(QueryField)
    field.focus()
    field.text = question
    await pilot.press("enter")


def exchanges(pilot: Any) -> list[Any]:
    return pilot.app.screen.query_one(Transcript).exchanges  # type: ignore[no-any-return]


async def test_pasting_three_lines_gives_three_demonstrations(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt", size=(80, 24)) as pilot:
        await paste(pilot, THREE)
        await until(pilot, lambda: "Demonstrations 3" in shown(pilot))


async def test_lines_that_are_no_demonstration_are_named(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        await paste(pilot, THREE + "no answer here\n")
        await until(pilot, lambda: "line 4" in shown(pilot))


async def test_an_answer_streams_and_shows_what_it_took(
    pilots: Any, sessions: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("good").steps(2).adapter()
    async with pilots.open("prompt") as pilot:
        await paste(pilot, THREE)
        await ask(pilot, "the machine ate my card")
        await until(pilot, lambda: "4 tok/s" in shown(pilot))
        assert "the machine ate my card" in shown(pilot)
        assert "the answer" in shown(pilot)
        assert "20 of 1.0k tokens · 3 shots" in shown(pilot)
        session = sessions.made[0]
        assert session.methods() == ["load", "prefill", "generate"]
        assert session.calls[0][1] == {"run": folder.run.run_id, "use_adapter": True}
        assert session.calls[1][1]["demonstrations"][2] == {
            "input": "send money",
            "output": "transfer",
        }


async def test_a_second_question_reads_nothing_again(
    pilots: Any, sessions: Any, run_folder: Any, until: Any
) -> None:
    run_folder("good").steps(2).adapter()
    async with pilots.open("prompt") as pilot:
        await paste(pilot, THREE)
        for question in ("one", "two"):
            await ask(pilot, question)
            await until(pilot, lambda: pilot.app.screen.is_idle)
        assert sessions.made[0].methods() == ["load", "prefill", "generate", "generate"]
        assert [exchange.question for exchange in exchanges(pilot)] == ["one", "two"]


async def test_an_adapter_that_has_improved_is_loaded_before_the_next_question(
    pilots: Any, sessions: Any, run_folder: Any, until: Any
) -> None:
    folder = run_folder("good").steps(2).adapter()
    async with pilots.open("prompt") as pilot:
        for weights in (b"one", b"other", b"other"):
            (folder.run.adapter_path / "adapters.safetensors").write_bytes(weights)
            os.utime(folder.run.adapter_path / "adapters.safetensors", (len(weights),) * 2)
            await ask(pilot, "one")
            await until(pilot, lambda: pilot.app.screen.is_idle)
        twice = ["load", "prefill", "generate"] * 2
        assert sessions.made[0].methods() == [*twice, "generate"]


async def test_base_and_adapter_can_be_compared(
    pilots: Any, sessions: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    run_folder("good").steps(2).adapter()
    async with pilots.open("prompt") as pilot:
        await ask(pilot, "one")
        await until(pilot, lambda: pilot.app.screen.is_idle)
        await pilot.press("escape", "ctrl+t")
        assert "○ base model" in shown(pilot)
        await ask(pilot, "one")
        await until(pilot, lambda: pilot.app.screen.is_idle)
        loads = [params for method, params in sessions.made[0].calls if method == "load"]
        assert [load["use_adapter"] for load in loads] == [True, False]
        assert [exchange.has_class("-base") for exchange in exchanges(pilot)] == [False, True]


async def test_escape_cancels_the_answer_and_gives_the_question_back(
    pilots: Any, sessions: Any, until: Any, shown: Any
) -> None:
    sessions.prepare = lambda session: setattr(session, "hold", Event())
    async with pilots.open("prompt") as pilot:
        await ask(pilot, "a long story")
        await until(pilot, lambda: "the answer" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "cancelled" in shown(pilot))
        assert pilot.app.screen.query_one(QueryField).text == "a long story"
        assert "the answer" in shown(pilot)


async def test_a_dead_session_says_what_to_do_and_the_next_question_starts_another(
    pilots: Any, sessions: Any, until: Any, shown: Any
) -> None:
    sessions.prepare = lambda session: setattr(session, "dies", len(sessions.made) == 1)
    async with pilots.open("prompt") as pilot:
        await ask(pilot, "one")
        await until(pilot, lambda: "killed by SIGKILL" in shown(pilot))
        assert "ask again" in shown(pilot)
        await ask(pilot, "two")
        await until(pilot, lambda: "4 tok/s" in shown(pilot))
        assert sessions.made[0].closed
        assert sessions.made[1].methods() == ["load", "prefill", "generate"]


async def test_hostile_text_changes_nothing_but_itself(
    pilots: Any, sessions: Any, until: Any, shown: Any
) -> None:
    evil = "[/bold][@click=app.quit]x\x1b[2J\x07\x9b1m\u202e"
    sessions.prepare = lambda session: setattr(session, "answer", [evil, "\nend"])
    async with pilots.open("prompt", size=(120, 40)) as pilot:
        await paste(pilot, f"{evil}\t{evil}\n")
        await ask(pilot, evil)
        await until(pilot, lambda: "end" in shown(pilot) and pilot.app.screen.is_idle)
        screen = shown(pilot)
        assert "[@click=app.quit]" in screen
        assert not set(screen) & set("\x1b\x07\x9b\u202e")
        prefill = next(p for method, p in sessions.made[0].calls if method == "prefill")
        assert prefill["demonstrations"][0]["input"] == evil


async def test_a_line_of_a_million_characters_can_be_pasted(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        await paste(pilot, "x y " * 250_000 + "\tlong\nshort\tb\n")
        await until(pilot, lambda: "2 shots" in shown(pilot))
        assert len(pilot.app.screen.query_one(Demonstrations).examples[0].input) > 999_000


async def test_a_question_of_several_lines_is_asked_whole(
    pilots: Any, sessions: Any, until: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        pilot.app.screen.query_one(QueryField).focus()
        await paste(pilot, "first line\nsecond line")
        await pilot.press("enter")
        await until(pilot, lambda: sessions.made and "generate" in sessions.made[0].methods())
        assert sessions.made[0].calls[-1][1]["input"] == "first line\nsecond line"


@pytest.mark.long
async def test_all_that_fit_can_be_asked_for(
    pilots: Any, sessions: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        await paste(pilot, THREE)
        for key in ("escape", "a"):
            await pilot.press(key)
            await ask(pilot, "one")
            await until(pilot, lambda: pilot.app.screen.is_idle)
            await pilot.press("escape")
        assert "all that fit" in shown(pilot)
        prefills = [params for method, params in sessions.made[0].calls if method == "prefill"]
        assert [params.get("choose") for params in prefills] == [None, "all"]


async def test_an_empty_question_is_not_asked(pilots: Any, sessions: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await ask(pilot, "  ")
        assert not exchanges(pilot)
        assert not sessions.made


async def test_digits_are_text_in_a_field_and_lead_away_outside(pilots: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await pilot.press("enter", "1")
        assert isinstance(pilot.app.screen, PromptScreen)
        assert pilot.app.screen.query_one(QueryField).text == "1"
        await pilot.press("escape", "2")
        assert not isinstance(pilot.app.screen, PromptScreen)


async def test_the_session_ends_with_the_app(pilots: Any, sessions: Any, until: Any) -> None:
    async with pilots.open("prompt") as pilot:
        await ask(pilot, "one")
        await until(pilot, lambda: pilot.app.screen.is_idle)
    assert sessions.made[0].closed


async def test_without_runs_the_embedded_model_is_offered(pilots: Any) -> None:
    async with pilots.open("prompt") as pilot:
        assert pilot.app.screen.query_one(Select).value == "model:tiny"
