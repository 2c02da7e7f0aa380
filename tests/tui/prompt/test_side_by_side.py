"""Base beside adapter, labels compared, demonstrations read ahead, many questions at once."""

import json
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from textual import events
from textual.widgets import Select

from tests.tui.conftest import RECIPE
from tests.tui.pictures import check_picture
from tests.tui.prompt.test_prompt import THREE, ask, exchanges, paste
from tui.prompt import sitting
from tui.prompt.answers import AnswerPanel
from tui.prompt.fields import QueryField
from tui.prompt.gauge import ContextGauge
from tui.prompt.labels import LabelBars
from tui.prompt.transcript import Transcript
from tui.shared.confirm import ConfirmScreen

pytestmark = pytest.mark.asyncio

SIX = THREE + "a card was lost\tlost_card\nmy PIN\tget_pin\nmove money\ttransfer\n"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read ahead without waiting."""
    monkeypatch.setattr(sitting, "READ_AFTER", 0.01)


async def test_base_and_adapter_answer_beside_each_other_with_bars(
    pilots: Any, sessions: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    folder = run_folder("good").steps(2).adapter()
    async with pilots.open("prompt", size=(140, 45)) as pilot:
        await paste(pilot, SIX)
        await until(pilot, lambda: "labels ● 3" in shown(pilot))
        await pilot.press("b")
        assert "● adapter" in shown(pilot) and "○ base model" in shown(pilot)
        await ask(pilot, "the machine ate it")
        await until(pilot, lambda: pilot.app.screen.is_idle)
        *_, load = [params for method, params in sessions.made[0].calls if method == "load"]
        assert load["run"] == folder.run.run_id and load["beside"] == [{"use_adapter": False}]
        (exchange,) = exchanges(pilot)
        adapter, base = exchange.query(AnswerPanel)
        assert adapter.region.y == base.region.y and adapter.region.right <= base.region.x
        assert base.has_class("-base") and not adapter.has_class("-base")
        assert adapter.text == base.text == "the answer"
        assert adapter.shares[0][1] > base.shares[0][1] > 0.5
        assert len(exchange.query(LabelBars)) == 2
        assert "same answer in 1 of 1 · p > .9 in 1 of 1" in shown(pilot)
        assert "read 4, 20 reused, wrote 2" in shown(pilot) and "4 tok/s" in shown(pilot)
        assert shown(pilot).count("not one of the labels") == 2
        pilot.app.screen.query_one(QueryField).cursor_blink = False
        for width, height in ((140, 45), (80, 24)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            await pilot.pause()
            check_picture(pilot.app, f"prompt-{width}x{height}")
        await pilot.resize_terminal(58, 24)
        await pilot.pause()
        assert adapter.region.x == base.region.x and adapter.region.bottom <= base.region.y
        await pilot.press("escape", "b", "ctrl+g")
        assert "labels ○" in shown(pilot)
        await ask(pilot, "another")
        await until(pilot, lambda: pilot.app.screen.is_idle)
        assert len(exchanges(pilot)[-1].panels) == 1
        assert "score" not in sessions.made[0].methods()[-3:]


async def test_demonstrations_are_read_ahead_and_the_question_reads_nothing(
    pilots: Any, sessions: Any, until: Any, shown: Any, at_once: None
) -> None:
    async with pilots.open("prompt", size=(140, 45)) as pilot:
        await paste(pilot, THREE)
        await until(pilot, lambda: "✓ cached" in shown(pilot))
        await until(pilot, lambda: sessions.made[0].methods() == ["load", "prefill", "health"])
        assert "20 of 1.0k tokens · 3 shots" in shown(pilot)
        assert pilot.app.screen.query_one(ContextGauge).fill.trained == 512
        await ask(pilot, "one")
        await until(pilot, lambda: pilot.app.screen.is_idle)
        await pilot.pause(0.1)
        assert sessions.made[0].methods() == ["load", "prefill", "health", "generate"]
        await paste(pilot, "no field has it")  # the question has the focus
        await pilot.press("escape")
        await paste(pilot, "more\tx\n")
        await until(pilot, lambda: sessions.made[0].methods()[4:] == ["prefill", "health"])


async def test_a_reading_can_be_stopped_and_asked_for_and_a_question_waits_for_it(
    pilots: Any, sessions: Any, until: Any, shown: Any, at_once: None
) -> None:
    holds = Event()
    sessions.prepare = lambda session: setattr(session, "hold_reading", holds)
    async with pilots.open("prompt", size=(140, 45)) as pilot:
        await paste(pilot, THREE)
        await until(pilot, lambda: "reading 10 of 20 tokens" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "F5 reads on" in shown(pilot))
        assert sessions.made[0].methods() == ["load", "prefill"]
        await pilot.press("f5")
        await until(pilot, lambda: "reading 10 of 20 tokens" in shown(pilot))
        await ask(pilot, "one")
        assert not pilot.app.screen.is_idle
        holds.set()
        await until(pilot, lambda: pilot.app.screen.is_idle)
        asked = ["load", "prefill", "prefill", "health", "generate"]
        assert sessions.made[0].methods() == asked


async def test_every_line_and_every_row_of_a_file_is_asked_and_escape_gives_the_rest_back(
    pilots: Any, sessions: Any, until: Any, shown: Any, empty_folder: Path
) -> None:
    path = empty_folder / "queries.txt"
    path.write_text("five\nsix\n")
    async with pilots.open("prompt") as pilot:
        field = pilot.app.screen.query_one(QueryField)
        field.focus()
        field.text = "one\ntwo\n"
        await until(pilot, lambda: "ctrl+n each of 2 lines" in shown(pilot))
        await pilot.press("ctrl+n")
        await until(pilot, lambda: len(exchanges(pilot)) == 2 and pilot.app.screen.is_idle)
        assert [one.question for one in exchanges(pilot)] == ["one", "two"]
        sessions.made[0].hold = Event()
        await pilot.press("escape", "e", "f4")  # a narrow window shows the demonstrations then
        assert not pilot.app.screen.has_class("-answers")
        await paste(pilot, str(path))
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
        assert "Ask 2 questions of queries.txt?" in shown(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "1 more to ask" in shown(pilot))
        assert pilot.app.screen.has_class("-answers")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen.is_idle)
        assert field.text == "five\nsix"


async def test_rows_pasted_into_the_question_are_offered_as_demonstrations(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt") as pilot:
        await pilot.press("enter")
        for key, there in (("n", THREE.strip()), ("y", "")):
            pilot.app.screen.query_one(QueryField).text = ""
            await paste(pilot, THREE)
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(pilot.app.screen, ConfirmScreen))
            assert pilot.app.screen.query_one(QueryField).text.strip() == there
        await until(pilot, lambda: "3 shots" in shown(pilot))


async def test_an_answer_is_copied_and_a_question_taken_back_to_be_changed(
    pilots: Any, until: Any, shown: Any
) -> None:
    async with pilots.open("prompt", size=(80, 24)) as pilot:
        for question in ("one", "two"):
            await ask(pilot, question)
            await until(pilot, lambda: pilot.app.screen.is_idle)
        await pilot.press("escape", "y")
        assert pilot.app.clipboard == "the answer"
        pilot.app.screen.query_one(Transcript).focus()
        await pilot.press("k", "k", "e")
        field = pilot.app.screen.query_one(QueryField)
        assert field.text == "one" and pilot.app.focused is field
        await pilot.press("escape", "right_square_bracket")
        assert "▌Demonstrations 0▐" in shown(pilot)
        await pilot.press("left_square_bracket")
        assert "▌Answers▐" in shown(pilot)


async def test_beside_a_run_that_trains_nothing_is_loaded_unasked(
    pilots: Any, sessions: Any, run_folder: Any, until: Any, shown: Any, at_once: None
) -> None:
    with run_folder("busy").steps(1).trained():
        async with pilots.open("prompt", size=(140, 45)) as pilot:
            await paste(pilot, THREE)
            await until(pilot, lambda: "a run is training: F5 reads beside it" in shown(pilot))
            assert not sessions.made
            await pilot.press("f5")
            await until(pilot, lambda: "✓ cached" in shown(pilot))


async def test_another_run_on_the_same_base_can_answer_beside(
    pilots: Any, sessions: Any, run_folder: Any, until: Any, shown: Any
) -> None:
    other, first = (run_folder(name).steps(2).adapter() for name in ("other", "first"))
    (other.run.path / "recipe.toml").write_text(RECIPE)
    async with pilots.open("prompt", size=(140, 45)) as pilot:
        beside = pilot.app.screen.query_one("#beside", Select)
        await until(pilot, lambda: "run:" + other.run.run_id in beside._legal_values)
        beside.value = "run:" + other.run.run_id
        await ask(pilot, "one")
        await until(pilot, lambda: pilot.app.screen.is_idle)
        assert list(exchanges(pilot)[0].panels) == [first.run.run_id, other.run.run_id]
        assert sessions.made[0].calls[0][1]["beside"][0]["run"] == other.run.run_id


@pytest.mark.parametrize("is_model_dropped", [True, False])
async def test_an_adapter_that_is_dropped_answers_on_the_model_that_is_dropped_or_it_names(
    pilots: Any, sessions: Any, tmp_path: Path, until: Any, shown: Any, is_model_dropped: bool
) -> None:
    model = tmp_path / "a model"
    model.mkdir()
    (model / "config.json").write_text("{}", "utf-8")
    (model / "model.safetensors").touch()
    settings = {"model": "org/named", "fine_tune_type": "lora", "num_layers": -1}
    shape = {"rank": 4, "scale": 2.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]}
    folder = tmp_path / "my adapter"
    folder.mkdir()
    config = settings | {"lora_parameters": shape}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    (folder / "adapters.safetensors").touch()
    async with pilots.open("prompt", size=(140, 45)) as pilot:
        screen = pilot.app.screen
        if is_model_dropped:
            pilot.app.post_message(events.Paste(str(model)))
            await until(pilot, lambda: "a model (base)" in shown(pilot))
        screen.query_one(QueryField).focus()
        pilot.app.post_message(events.Paste(str(folder).replace(" ", "\\ ")))
        await until(pilot, lambda: "my adapter (adapter)" in shown(pilot))
        assert "● adapter" in shown(pilot) and not screen.query_one(QueryField).text
        screen.set_focus(None)
        await paste(pilot, SIX)
        await pilot.press("b")
        await ask(pilot, "the machine ate it")
        await until(pilot, lambda: screen.is_idle)
        *_, load = [params for method, params in sessions.made[0].calls if method == "load"]
        assert load == {
            "model": str(model) if is_model_dropped else "org/named",
            "adapter": str(folder),
            "use_adapter": True,
            "beside": [{"use_adapter": False}],
        }
