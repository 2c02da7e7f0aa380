"""What is asked of a session and what it says: questions in turn, reading ahead between them."""

from collections import deque
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.timer import Timer

from yofo_mlx.errors import Cancelled, FitError, YofoError
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.prompting.held import Held, Offer
from yofo_mlx.system.quantities import duration, plural

from ..shared.recovery import Recovering
from ..shared.words import MUTED, safe
from .asking import Asking, Job, Wanted
from .demonstrations import Demonstrations
from .fields import QuestionField
from .gauge import ContextGauge, Fill, reading, told
from .head import ModelBar
from .labels import labels_of
from .models import speakers
from .transcript import Exchange, Transcript

READ_AFTER: Final = 1.0  # seconds without a change


class Sitting(Recovering):
    """A screen that asks a session; what is on it is laid out elsewhere."""

    class Heard(Message):
        """A notification of the session, about one of the jobs."""

        def __init__(self, job: Job, method: str, params: dict[str, Any]) -> None:
            super().__init__()
            self.job, self.method, self.params = job, method, params

    class Answered(Message):
        """The answers are complete."""

        def __init__(self, job: Job, answers: dict[str, dict[str, Any]]) -> None:
            super().__init__()
            self.job, self.answers = job, answers

    class Done(Message):
        """Demonstrations are read, and looked at."""

        def __init__(self, job: Job) -> None:
            super().__init__()
            self.job = job

    class Failed(Message):
        """There is no answer, or only half of one, or demonstrations are not read."""

        def __init__(self, job: Job | None, error: YofoError) -> None:
            super().__init__()
            self.job, self.error = job, error

    def __init__(self, client: SessionClient | None = None) -> None:
        super().__init__()
        self._asking = Asking(Held(client or SessionClient()))
        self._job: Job | None = None  # the question that is being answered
        self._exchange: Exchange | None = None  # and where its answer goes
        self._waiting: deque[str] = deque()  # questions after it
        self._reading: Job | None = None  # demonstrations that are read ahead
        self._cancelling = False
        self._labels_wanted: bool | None = None  # None: where answers look like labels
        self._stage, self._stage_since = "", 0.0
        self._read_of: Wanted | None = None  # what the facts are about
        self._facts: dict[str, Any] = {}
        self._fill, self._whose = Fill(), ""
        self._seconds_left: float | None = None
        self._left_alone: Wanted | None = None  # what is looked at, or was stopped, or failed
        self._trouble = ""  # why it is not read
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        """Tell once a second how long the model takes."""
        self.set_interval(1, self._show_fill)

    def on_unmount(self) -> None:
        """End the session with the app; one at work is not waited for."""
        if self._job is not None or self._reading is not None:
            self._asking.held.kill()
        self._asking.held.client.close()

    @property
    def is_idle(self) -> bool:
        """Tell whether no question is being answered."""
        return self._job is None

    def wanted(self) -> Wanted | None:
        """Return what a question would be about."""
        bar, shown = self.query_one(ModelBar), self.query_one(Demonstrations)
        model = bar.model
        if model is None:
            return None
        offer = Offer(tuple(shown.examples), shown.instruction, choose=bar.way, kept=shown.caches)
        return Wanted(model, offer)

    @on(ModelBar.Changed)
    @on(Demonstrations.Changed)
    def _changed(self) -> None:
        """Say what is read of what is wanted now, and read it soon."""
        self.query_one(ModelBar).show_labels(len(self.labels()), self._labels_wanted)
        model = self.query_one(ModelBar).model
        self.query_one(Demonstrations).read_as(model.run if model else None)
        self._changed_facts()
        self._read_soon()

    def labels(self) -> tuple[str, ...]:
        """Return the answers whose probabilities are compared."""
        return labels_of(self.query_one(Demonstrations).rows.answers, self._labels_wanted)

    def _read_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(READ_AFTER, self._read_ahead)

    def _read_ahead(self, *, is_asked_for: bool = False) -> None:
        """Read what is wanted now, if it is not read, or being read."""
        wanted = self.wanted()
        if wanted is None or self._job is not None or not wanted.offer.examples:
            return
        if self._reading is not None:
            if self._reading.wanted != wanted:
                self._cancel(self._reading)
                self._read_soon()
        elif is_asked_for or wanted != self._left_alone:
            self._trouble = ""
            self._reading = Job(wanted, is_asked_for=is_asked_for)
            self._read(self._reading)

    async def ask(self, questions: list[str]) -> None:
        """Ask these one after the other, of the model that is chosen."""
        if self._job is not None or not questions:
            return
        if self.query_one(ModelBar).model is None:
            self.warn("choose a run or a base model first")
            return
        self._waiting = deque(questions)
        await self._ask_next()

    async def _ask_next(self) -> None:
        wanted = self.wanted()
        if wanted is None or not self._waiting:
            return
        question = self._waiting.popleft()
        self._job, self._cancelling = Job(wanted, question), False
        name = wanted.model.run or wanted.model.model or ""
        self._exchange = Exchange(question, speakers(wanted.model), name)
        await self.query_one(Transcript).add(self._exchange)
        self._answer(self._job)

    @work(thread=True, exit_on_error=False, group="answer")
    def _answer(self, job: Job) -> None:
        try:
            self._settle(job)
            answers = self._asking.answer(job, self._hearing(job))
        except YofoError as error:
            self.post_message(self.Failed(job, error))
        else:
            self.post_message(self.Answered(job, answers))

    def _settle(self, job: Job) -> None:
        """Ask behind all that was pasted before the question, and let no other reading go on."""
        shown = self.query_one(Demonstrations)
        shown.wait()
        offer = replace(job.wanted.offer, examples=tuple(shown.examples))
        offer = replace(offer, instruction=shown.instruction, kept=shown.caches)
        job.wanted, job.labels = Wanted(job.wanted.model, offer), self.labels()
        if (other := self._reading) is not None and other.wanted != job.wanted:
            self._asking.cancel(other)

    @work(thread=True, exit_on_error=False, group="read")
    def _read(self, job: Job) -> None:
        try:
            self._asking.read(job, self._hearing(job))
        except YofoError as error:
            self.post_message(self.Failed(job, error))
        else:
            self.post_message(self.Done(job))

    def _hearing(self, job: Job) -> Any:
        return lambda method, params: self.post_message(self.Heard(job, method, params))

    def _cancel(self, job: Job) -> None:
        """Give a job up; a session that is stuck does not hear it."""
        job.is_given_up = True
        self.run_worker(
            lambda: self._asking.cancel(job), thread=True, exit_on_error=False, group="cancel"
        )

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        if message.job not in (self._job, self._reading):
            return
        params = message.params
        match message.method:
            case "token" if self._exchange is not None:
                self._exchange.stream(str(params.get("text", "")), params.get("subject"))
                self.query_one(Transcript).follow()
            case "answering" if self._exchange is not None:
                self._exchange.turn(str(params["subject"]))
            case "loaded":
                trained = params.get("trained_tokens")
                self._fill = Fill(limit=params.get("context"), trained=trained)
            case "chosen" | "reading":
                self._begin_reading(message.job, params)
            case "progress":
                self._show_progress(message.job, params)
            case "read":
                self._show_read(message.job, params)
            case "health":
                self._show_health(message.job, params)
            case "stage":
                self._stage, self._stage_since = str(params["words"]), monotonic()
                self._show_fill()
            case "warning":
                self.warn(str(params["words"]))

    def _begin_reading(self, job: Job, params: dict[str, Any]) -> None:
        """Say what is to be read; of those beside the first one only the tokens are told."""
        subject = params.get("subject")
        if subject is None:
            self._read_of, self._facts = job.wanted, params
        several = speakers(job.wanted.model)
        found = next((one.words for one in several if one.subject == subject), several[0].words)
        self._whose = f"{found}: " if len(several) > 1 else ""
        self._fill_with(params.get("tokens"), params.get("reused_tokens"))
        self._changed_facts()

    def _show_progress(self, job: Job, params: dict[str, Any]) -> None:
        done, total = params.get("done"), params.get("total")
        if self._cancelling or not (isinstance(done, int) and isinstance(total, int) and total):
            return
        self._stage, self._seconds_left = "", params.get("seconds_left")
        self._fill_with(total, done)
        self._show_fill()

    def _show_read(self, job: Job, params: dict[str, Any]) -> None:
        self._read_of, self._facts = job.wanted, params
        self._stage, self._trouble = "", ""
        self._fill_with(params.get("tokens"), params.get("tokens"))
        self._changed_facts()

    def _show_health(self, job: Job, params: dict[str, Any]) -> None:
        """Show what the model thinks of the demonstrations, if they are those that stand there."""
        if params and job.wanted == self.wanted():
            self.query_one(Demonstrations).show_health(params)

    def _fill_with(self, counted: Any, cached: Any) -> None:
        now = Fill(limit=self._fill.limit, trained=self._fill.trained)
        self._fill = Fill(counted or 0, cached or 0, now.limit, now.trained)

    def _changed_facts(self) -> None:
        """Show what became known of what is read."""
        self._show_fill()

    @property
    def is_read(self) -> bool:
        """Tell whether the facts are about what is wanted now."""
        return bool(self._facts) and self._read_of == self.wanted()

    def _show_fill(self) -> None:
        """Say how full the context is, and what the model is at."""
        gauge = self.query_one(ContextGauge)
        if self._stage:
            took = monotonic() - self._stage_since
            gauge.show(self._fill, f"{self._stage} …" + (f" {duration(took)}" if took >= 1 else ""))
            return
        if not self.is_read:
            count = len(self.query_one(Demonstrations).examples)
            said = f"{plural(count, 'demonstration')} · not read yet · F5 reads" if count else ""
            gauge.show(Fill(), self._trouble or said, "$text-warning" if self._trouble else MUTED)
        elif self._fill.is_cached and "seconds" in self._facts:
            gauge.show(self._fill, told(self._fill, self._facts))
        elif self._job or self._reading:
            gauge.show(self._fill, reading(self._fill, self._whose, self._seconds_left))
        else:
            gauge.show(self._fill, f"{told(self._fill, self._facts)} · F5 reads on")

    @on(Answered)
    async def _answered(self, message: Answered) -> None:
        if message.job is not self._job:
            return
        if self._exchange is not None:
            await self._exchange.finish(message.answers)
        self._end()
        await self._ask_next()

    @on(Done)
    def _done(self, message: Done) -> None:
        if message.job is self._reading:
            self._reading, self._left_alone = None, message.job.wanted
            self._rest()

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        job, error = message.job, message.error
        if job is not None and job is self._reading:
            self._reading, self._left_alone = None, job.wanted
            if not isinstance(error, Cancelled):
                self._trouble = f"{error.message}: {error.hint}" if error.hint else error.message
            self._rest()
        elif job is self._job or job is None:
            self._question_failed(error)

    def _question_failed(self, error: YofoError) -> None:
        if self._exchange is not None:
            style = "$text-warning" if isinstance(error, Cancelled) else "$text-error"
            hint = error.hint
            if isinstance(error, FitError) and self._job and self._job.wanted.model.beside:
                hint = "ctrl+b asks one of them alone"
            said = [safe(error.message).stylize(style), safe(hint)]
            self._exchange.fail(Content("\n").join(part for part in said if part.plain))
            field = self.query_one(QuestionField)
            field.text = field.text or "\n".join([self._exchange.question, *self._waiting])
        self._waiting.clear()
        self._end()

    def recover(self, group: str, words: str) -> None:
        """Let the next question be asked, and the next change be read."""
        error = YofoError(words, "ask again")
        if group == "answer":
            self.post_message(self.Failed(self._job, error))
        elif group == "read":
            self.post_message(self.Failed(self._reading, error))

    def _end(self) -> None:
        self._job, self._exchange = None, None
        self.query_one(Transcript).follow()
        self._rest()
        self._read_soon()

    def _rest(self) -> None:
        """Be at nothing; a session that is dead has read nothing."""
        if self._job is None and self._reading is None:
            self._stage, self._cancelling = "", False
        if not self._asking.held.client.is_alive:
            self._facts, self._read_of = {}, None
        self._changed_facts()
        self.refresh_bindings()

    def give_up(self) -> bool:
        """Cancel what the model is at, or end it where it does not hear; tell if it is at work."""
        job = self._job or self._reading
        if job is None:
            return False
        if self._cancelling:
            self._asking.held.kill()
            return True
        self._cancelling = True
        self._stage, self._stage_since = "cancelling, escape again ends the model", monotonic()
        self._show_fill()
        self._cancel(job)
        return True

    def warn(self, words: str) -> None:
        """Tell what the user should look at."""
        self.notify(safe(words).plain, severity="warning", markup=False)
