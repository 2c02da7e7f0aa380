"""Run folders written by the real writer, and a session that needs no model."""

import asyncio
import fcntl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from tests.streams import FreeWriter
from tui.app import YofoApp
from tui.prompt.screen import PromptScreen
from yofo_mlx.errors import Cancelled, RunError
from yofo_mlx.evaluation import archive
from yofo_mlx.evaluation.scores import Point, TaskScores
from yofo_mlx.runs import listing
from yofo_mlx.runs.folder import Run

TASK = TaskScores("", "other", "", "exact", 8, 0, 0, 99, 1, None, 0, "")
RECIPE = 'model = "tiny"\n[train]\nsteps = 100\n[[tasks]]\nsource = "tiny:train"\n'


class RunFolder:
    """A run as its trainer would leave it, step by step."""

    def __init__(self, name: str, model: str = "tiny", steps: int = 100) -> None:
        self.run = listing.create(name)
        self.run.recipe_path.write_text(RECIPE, encoding="utf-8")
        self.run.lock_path.touch()
        self.writer = FreeWriter(self.run.events_path)
        self.writer.write("started", run_id=self.run.run_id, model=model, steps=steps, tokens=None)
        self.planned = steps
        self.evaluations = 0

    def step(self, step: int, loss: float, **more: Any) -> None:
        usual = {"tokens_per_s": 812.0, "peak_gb": 1.25, "memory_gb": 1.0, "shots": [4], "lr": 1e-4}
        usual["share"] = step / self.planned
        self.writer.write("step", step=step, loss=loss, **usual | more)

    def steps(self, upto: int) -> "RunFolder":
        for step in range(1, upto + 1):
            self.step(step, 4.0 / step)
        return self

    def validate(self, step: int, accuracies: dict[int, float]) -> None:
        rows = [{"shots": k, "accuracy": a, "loss": 1.0} for k, a in accuracies.items()]
        self.writer.write("eval", step=step, loss=1.5, by_shots=rows, best=True)

    def evaluate(
        self,
        tasks: int,
        accuracies: dict[int, float],
        *,
        further: dict[int, float] | None = None,
        full: bool = True,
        finish: bool = True,
    ) -> None:
        """Keep an evaluation of so many tasks, and of one more that reaches further."""
        scores = {f"task{n}": accuracies for n in range(tasks)}
        scores |= {"further": further} if further else {}
        asked = {"tasks": {name: {} for name in scores}, "number": self.evaluations}
        self.evaluations += 1
        kept = archive.begin(self.run, asked, full=full)
        for model in archive.MODELS:
            for name, found in scores.items():
                pairs = [(k, a if model == "adapter" else 0.1) for k, a in found.items()]
                points = tuple(Point(shots, score, 1.0) for shots, score in pairs)
                kept.add(model, replace(TASK, task=name, points=points))
        if finish:
            kept.finish()

    def adapter(self) -> "RunFolder":
        self.run.adapter_path.mkdir()
        return self

    @contextmanager
    def trained(self) -> Iterator[Run]:
        """Hold the lock, as a living trainer does."""
        with self.run.lock_path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield self.run


class FakeSession:
    """Answers at once and remembers what it was asked; a test may make it wait or die."""

    def __init__(self) -> None:
        self.is_alive = True
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answer = ["the ", "answer"]
        self.subjects = ["base"]
        self.hold: Event | None = None  # set by a test: generation waits for it, or for a cancel
        self.hold_reading: Event | None = None  # the same of a reading
        self.dies = False
        self.cancelled = Event()
        self.closed = False

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        on_note: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        params = params or {}
        self.calls.append((method, params))
        note = on_note or (lambda name, told: None)
        if method == "load":
            return self._load(params)
        if method == "prefill":
            return self._read(params, note)
        if method == "generate":
            return self._generate(note)
        if method == "score":
            return self._together([self._scores(params["labels"], at) for at in range(2)])
        return {}

    def _load(self, params: dict[str, Any]) -> dict[str, Any]:
        sides = [params, *params.get("beside", ())]
        names = [one.get("use_adapter", True) and one.get("run") for one in sides]
        self.subjects = [name or "base" for name in names]
        return {"subject": self.subjects[0], "context": 1024, "trained_tokens": 512}

    def _read(self, params: dict[str, Any], note: Callable[..., None]) -> dict[str, Any]:
        offered = len(params["demonstrations"])
        chosen = {"shots": offered, "offered": offered, "told": [], "note": ""}
        chosen |= {"chosen": list(range(offered)), "tokens": 20, "reused_tokens": 5}
        note("chosen", {"id": 1, **chosen})
        note("progress", {"id": 1, "done": 10, "total": 20})
        while self.hold_reading is not None and not self.hold_reading.wait(0.01):
            if self.cancelled.is_set():
                self.cancelled.clear()
                raise Cancelled("prefill was cancelled")
        beside = [{"subject": name, "tokens": 20} for name in self.subjects[1:]]
        return {**chosen, "seconds": 0.1} | ({"beside": beside} if beside else {})

    def _generate(self, note: Callable[[str, dict[str, Any]], None]) -> dict[str, Any]:
        several = len(self.subjects) > 1
        for name in self.subjects:
            whose = {"subject": name} if several else {}
            if several:
                note("answering", {"id": 1, **whose})
            for piece in self.answer:
                note("token", {"id": 1, "text": piece, **whose})
        finish = "end"
        while self.hold is not None and not self.hold.wait(0.01):
            if self.cancelled.is_set():
                finish = "cancelled"
                break
        if self.dies:
            self.is_alive = False
            raise RunError("the session process ended: killed by SIGKILL", "ask again")
        told = {"tokens": 2, "seconds": 0.5, "tokens_per_s": 4.0, "prompt_tokens": 24}
        told |= {"text": "".join(self.answer), "finish": finish}
        return self._together([told, told])

    def _scores(self, labels: list[str], side: int) -> dict[str, Any]:
        """Make the first label the likeliest; the second one of two is less sure of it."""
        found = [{"label": one, "logprob": -n * (3.0 - 2 * side)} for n, one in enumerate(labels)]
        return {"scores": found}

    def _together(self, answers: list[dict[str, Any]]) -> dict[str, Any]:
        if len(self.subjects) == 1:
            return answers[0]
        return answers[0] | {"answers": dict(zip(self.subjects, answers, strict=False))}

    def cancel(self) -> None:
        self.cancelled.set()

    def kill(self) -> None:
        self.is_alive = False

    def close(self) -> None:
        self.closed = True


class FakePreview:
    """Stands in for the process that reads and plans: answers at once with what a test gives."""

    answers: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def call(self, method: str, on_progress: Any = None, **params: Any) -> Any:
        self.asked.append((method, params))
        if method not in self.answers:
            raise Cancelled(method)
        return self.answers[method]

    def stop(self) -> None:
        pass


class FakeClient:
    """Starts fake sessions, as a client starts processes."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._session: Any = None

    @property
    def is_alive(self) -> bool:
        return self._session is not None and self._session.is_alive

    @property
    def ended(self) -> RunError | None:
        return getattr(self._session, "ended", None)

    def restart(self) -> None:
        self.close()
        self._session = self._make()

    def call(self, *asked: Any) -> dict[str, Any]:
        return self._session.call(*asked)  # type: ignore[no-any-return]

    def cancel(self) -> None:
        self._session.cancel()

    def kill(self) -> None:
        self._session.kill()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


class Sessions:
    """Every session the app started."""

    def __init__(self) -> None:
        self.made: list[FakeSession] = []
        self.prepare: Callable[[FakeSession], None] = lambda session: None

    def make(self) -> FakeSession:
        self.made.append(FakeSession())
        self.prepare(self.made[-1])
        return self.made[-1]


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def run_folder() -> type[RunFolder]:
    return RunFolder


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder without recipes, shipped ones hidden; look at runs often."""
    monkeypatch.setattr("tui.shared.recipes.shipped_recipes", list)
    monkeypatch.setattr("tui.runs.screen.POLL_SECONDS", 0.1)
    monkeypatch.setattr("tui.start.screen.fitting_models", list)  # a process that takes seconds
    monkeypatch.setattr("tui.runs.new_preview.PreviewClient", FakePreview)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Pilots:
    """Opens the app at a place, and waits for what a test expects."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @asynccontextmanager
    async def open(
        self, place: str = "runs", size: tuple[int, int] = (100, 36)
    ) -> AsyncIterator[Pilot[None]]:
        client: Any = FakeClient(self._sessions.make)
        modes = {**YofoApp.MODES, "prompt": lambda: PromptScreen(client)}
        app = type("App", (YofoApp,), {"MODES": modes})()
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            if place != "runs":
                await app.switch_mode(place)
            await pilot.pause()
            yield pilot


@pytest.fixture
def pilots(sessions: Sessions) -> Pilots:
    return Pilots(sessions)


Until = Callable[..., Any]


@pytest.fixture
def until() -> Until:
    """Wait until something holds, since threads report when they like."""

    async def wait(pilot: Pilot[None], holds: Callable[[], object], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it never came to hold"
            await asyncio.sleep(0.02)
        await pilot.pause()

    return wait


def text_of(screen: Screen[Any]) -> str:
    """Return what a screen shows, line by line."""
    width, height = screen.app.size
    lines = screen._compositor.render_strips()
    assert len(lines) == height
    return "\n".join(strip.text[:width] for strip in lines)


@pytest.fixture
def shown() -> Callable[[Pilot[None]], str]:
    return lambda pilot: text_of(pilot.app.screen)
