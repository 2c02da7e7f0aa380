"""What is asked of a session, one thing after the other; blocks, and is called from threads."""

from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.prompting.client import OnNote
from yofo_mlx.prompting.held import Held, Model, Offer, Result
from yofo_mlx.runs import listing

from .models import speakers

MAX_TOKENS: Final = 256
STAGES: Final = {
    "load": "loading the model",
    "prefill": "reading demonstrations",
    "health": "looking at the demonstrations",
    "generate": "answering",
    "score": "comparing the labels",
}
NO_HEALTH: Final = ("similar", "adaptive", "blocks")  # ways that read nothing for all queries


@dataclass(frozen=True)
class Wanted:
    """Who is to answer, behind what."""

    model: Model
    offer: Offer


class Job:
    """A question, or a reading of demonstrations without one, that may be given up."""

    def __init__(self, wanted: Wanted, question: str = "", *, is_asked_for: bool = True) -> None:
        self.wanted, self.question, self.is_asked_for = wanted, question, is_asked_for
        self.labels: tuple[str, ...] = ()  # to be compared
        self.is_given_up = False

    def check(self) -> None:
        """Raise Cancelled if it was given up, as while another one was done."""
        if self.is_given_up:
            raise Cancelled("cancelled")


class Asking:
    """A session, and one job at a time for it; the others wait."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self._turn = Lock()

    def read(self, job: Job, hear: OnNote) -> None:
        """Read the demonstrations, and hear how good they are."""
        with self._turn:
            if not (job.is_asked_for or self.held.client.is_alive) and _somebody_trains():
                raise YofoError("not read yet: a run is training", "F5 reads beside it")
            self._read(job, hear)
            offer = job.wanted.offer
            if len(offer.examples) > 1 and offer.choose not in NO_HEALTH:
                job.check()
                hear("health", self.held.call("health", None, _note(hear)))

    def answer(self, job: Job, hear: OnNote) -> dict[str, Result]:
        """Return who answers what; what is read by then, stages and warnings are heard."""
        with self._turn:
            self._read(job, hear)
            names = [one.subject for one in speakers(job.wanted.model)]
            params = {"input": job.question, "max_tokens": MAX_TOKENS}
            answers = _by_name(names, self.held.call("generate", params, _note(hear)))
            if any(one.get("finish") == "cancelled" for one in answers.values()):
                raise Cancelled("cancelled")  # half an answer, which is on the screen by now
            if job.labels and not job.is_given_up:
                params = {"input": job.question, "labels": list(job.labels)}
                scores = _by_name(names, self.held.call("score", params, _note(hear)))
                answers = {name: one | scores.get(name, {}) for name, one in answers.items()}
        facts = [self.held.facts, *self.held.facts.get("beside", ())]
        for name, one in zip(names, facts, strict=False):
            answers[name]["reused"] = one.get("tokens")
        return answers

    def cancel(self, job: Job) -> None:
        """Give a job up, and what the session is at before it; may wait where that is stuck."""
        job.is_given_up = True
        self.held.cancel()

    def _read(self, job: Job, hear: OnNote) -> None:
        job.check()
        note = _note(hear)
        loaded = self.held.load(job.wanted.model, note)
        if loaded is not None:
            hear("loaded", loaded)
            for words in loaded.get("notes", ()):
                hear("warning", {"words": words})
        job.check()
        self.held.read(job.wanted.offer, note)
        hear("read", self.held.facts)
        job.check()


def _somebody_trains() -> bool:
    """Tell whether a model that nobody asked for would take memory from a run."""
    with suppress(OSError):
        return any(run.is_locked() for run in listing.list_runs())
    return False


def _note(hear: OnNote) -> OnNote:
    def note(method: str, params: dict[str, Any]) -> None:
        if method == "calling":
            hear("stage", {"words": STAGES[params["method"]]})
        else:
            hear("warning" if method == "ended" else method, params)

    return note


def _by_name(names: list[str], result: Result) -> dict[str, Result]:
    """Return each one's result; a session that holds one alone names nobody."""
    several = result.get("answers")
    if not several:
        return {names[0]: result}
    return {name: several.get(name, {}) for name in names}
