"""Answers written token by token, alone or side by side; what they stand behind stays as it was.

A step of each of these is one token of all its answers; between steps others may take theirs.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from itertools import count
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.generate import generate_step

from yofo_mlx.errors import Cancelled, FitError, YofoError
from yofo_mlx.prompting.questions import OWN, SideBySide, log_softmax
from yofo_mlx.serving.jobs import Choosing, Finished, Labelled, Usage, Writing
from yofo_mlx.serving.models import Served
from yofo_mlx.serving.refusals import TOO_LONG, bad
from yofo_mlx.system.text import shorten

_CLEARED = 256  # tokens of an answer after which memory that is not used is given back

Steps = Generator[None, None, None]


def write_alone(job: Writing) -> Steps:
    """Write one answer in the context itself, which nobody else may use meanwhile."""
    aligned = job.served.align([job.ahead], job)
    job.found(aligned.cached)
    context, rest = job.served.context, job.ahead[aligned.tokens :]
    with context.aside():
        context.read(rest[:-1], job)
        steps = generate_step(
            mx.array([rest[-1]]),
            context.model,
            max_tokens=job.max_tokens - job.place,
            sampler=_Places(job),
            # In half precision log-probabilities tie where logits do not.
            logits_processors=[lambda _, logits: logits.astype(mx.float32)],
            prompt_cache=context.layers,
        )
        with closing(steps), context.whole_or_nothing():
            for token, logprobs in steps:
                job.take(int(token), logprobs)
                if job.is_over or job.is_left:
                    return
                yield


class _Places:
    """Chooses tokens one after the other; mlx-lm asks for one more than it yields."""

    def __init__(self, job: Writing) -> None:
        self._sampling, self._place = job.sampling, job.place

    def __call__(self, logprobs: mx.array) -> mx.array:
        self._place += 1
        return self._sampling.choose(logprobs, self._place - 1)


class Together:
    """Answers written side by side, each in a row behind what all of them share; more may join."""

    def __init__(self, jobs: Sequence[Writing]) -> None:
        self._new = [*jobs]
        self._rows: dict[int, Writing] = {}  # those that are begun and not over
        self._shared: list[int] | None = None  # what all begin with, once it is there
        self.steps = self._write(jobs[0].served)

    def take(self, jobs: Sequence[Writing]) -> bool:
        """Let others join that begin with what is shared here, where there is room to read them."""
        there = [*self._rows.values(), *self._new]
        if self._shared is None or not there or not jobs[0].is_beside(there[0]):
            return False
        shared, texts = len(self._shared), [job.ahead for job in (*there, *jobs)]
        if any(len(text) <= shared or text[:shared] != self._shared for text in texts):
            return False
        if len(texts) * (max(map(len, texts)) - shared) > OWN:
            return False
        self._new += jobs
        return True

    def _write(self, served: Served) -> Steps:
        texts = [job.ahead for job in self._new]
        shared, cached = served.align(texts, self._check)
        self._shared = texts[0][:shared]
        ready, numbers = SideBySide(served.context, self._check), count()
        written: dict[int, int] = {}  # each row's last token
        while written or self._new:
            new, self._new = {next(numbers): job for job in self._new}, []
            for job in new.values():
                job.found(cached)
            self._rows |= new
            asked, cached = {row: job.ahead[shared:] for row, job in new.items()}, shared
            tokens: dict[int, int] = {}
            for rows, logits in ready.ends(asked, written):
                chosen = _next_tokens([self._rows[row] for row in rows], logits)
                tokens |= zip(rows, chosen, strict=True)
            for row in [row for row, job in self._rows.items() if job.is_over or job.is_left]:
                ready.forget(row)
                del self._rows[row], tokens[row]
            written, places = tokens, [job.place for job in self._rows.values()]
            if not places or places[0] % _CLEARED == 0:
                mx.clear_cache()  # what rows of other widths and numbers took
            if places:
                yield

    def _check(self, _: int) -> None:
        if all(job.is_left for job in (*self._rows.values(), *self._new)):
            raise Cancelled("the clients left")


def _next_tokens(jobs: Sequence[Writing], logits: mx.array) -> list[int]:
    """Give each answer its next token by the logits (B, V)."""
    logprobs = log_softmax(logits)
    chosen = [
        job.sampling.choose(logprobs[row : row + 1], job.place) for row, job in enumerate(jobs)
    ]
    tokens: list[int] = np.array(mx.concatenate(chosen)).tolist()
    for row, job in enumerate(jobs):
        job.take(tokens[row], logprobs[row])
    return tokens


def _questions(texts: Sequence[str], question: Callable[[str], list[int]]) -> list[list[int]]:
    """Return the tokens of texts, or say which of them cannot be asked, and why."""
    questions, wrong, is_long = list[list[int]](), list[str](), False
    for place, text in enumerate(texts):
        try:
            questions.append(question(text))
        except YofoError as error:
            wrong.append(f"`input[{place}]`: {error.message}")
            is_long = is_long or isinstance(error, FitError)
    if wrong:
        raise bad(shorten("; ".join(wrong), 2000), "input", TOO_LONG if is_long else None)
    return questions


def choose(job: Choosing) -> Steps:
    """Label texts, some of them a step, in their order."""
    chooser = job.served.chooser(job.labels)
    prefix = chooser.prefix
    questions = _questions(job.texts, lambda text: prefix.question(text, chooser.answer_tokens))
    found: dict[int, Any] = {}
    for place, entry in chooser.answers(prefix, questions):
        found[place] = entry
        if job.is_left:
            return
        yield
    for _, entry in sorted(found.items()):
        shares = [(entry["label"], entry["probability"]), *(entry["runners_up"] or ())]
        job.events.put(Labelled(tuple((label, float(share)) for label, share in shares)))
    pinned = len(prefix.tokens) * len(questions)
    job.is_over = True
    job.events.put(Finished("stop", Usage(pinned + sum(map(len, questions)), pinned)))
