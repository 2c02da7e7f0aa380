"""The base model, asked for answers, paraphrases and verdicts; what it said once is kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import mlx.core as mx

from yofo_mlx.episodes.sampler import Episode, tokenize
from yofo_mlx.episodes.segments import Segmenter, check_direct
from yofo_mlx.models.base import Base
from yofo_mlx.planning.evaluation import Asked, plan_evaluation, refused
from yofo_mlx.planning.planner import Planner
from yofo_mlx.prompting.batched import Written, answer_each
from yofo_mlx.prompting.context import Context, interruptible
from yofo_mlx.prompting.fingerprint import model_fingerprint
from yofo_mlx.prompting.generation import generate
from yofo_mlx.prompting.scoring import Asked as AskedTokens
from yofo_mlx.prompting.scoring import read_answers
from yofo_mlx.recipe.schema import Template
from yofo_mlx.rehearsal import teaching
from yofo_mlx.rehearsal.store import Store, key_of
from yofo_mlx.rehearsal.teaching import Reading
from yofo_mlx.system.progress import Progress
from yofo_mlx.tasks.task import Example, Task

MOST_AT_ONCE = 16  # more hardly helps, and the cache of each is held
PARAPHRASE = (
    "You restate answers. You are given a task and its right answer. Write that answer in your own"
    " words: keep every fact, every step and the result, add nothing. Write the answer only."
)
VERDICT = (
    "You check answers. You are given a task, its right answer, and an answer that somebody gave."
    " Reply Yes if that answer is right too, No if it is wrong."
)
YES, NO = "Yes", "No"


@dataclass(frozen=True)
class Shown:
    """Demonstrations that stand before each of some questions."""

    segmenter: Segmenter
    tokens: tuple[int, ...]  # opening and demonstrations
    shots: int = 0

    def question(self, text: str) -> list[int]:
        """Return the tokens of an input behind them."""
        return self.segmenter.question(text, first=not self.shots)


class Asker:
    """A base model with its memory of answers."""

    def __init__(self, base: Base, template: Template, store: Store, planner: Planner | None):
        self._base, self._template, self._store, self._planner = base, template, store, planner
        self._mark = [model_fingerprint(base.path), template.model_dump_json()]

    def segmenter(self, instruction: str) -> Segmenter:
        """Return what makes tokens of text behind an instruction."""
        check_direct(self._template)
        return Segmenter(self._base.tokenizer, self._template, instruction)

    def shown(self, task: Task, demonstrations: Sequence[Example], max_tokens: int) -> Shown:
        """Return what stands before a task's questions: its demonstrations, as far as they fit."""
        segmenter = self.segmenter(task.instruction)
        episode = Episode(task.name, list(segmenter.opening))
        for one in demonstrations:
            episode.add(tokenize(segmenter, one), max_tokens)
        return Shown(segmenter, tuple(episode.tokens), len(episode.answers))

    def answers(
        self, shown: Shown, inputs: Sequence[str], max_tokens: int, what: str
    ) -> list[Written]:
        """Return the model's greedy answers to inputs; `what` is told while it writes."""
        questions = [shown.question(text) for text in inputs]
        behind = key_of(self._mark, shown.tokens, max_tokens)
        keys = [key_of("answer", behind, question) for question in questions]
        left = self._left(keys)
        if left:
            asked = [questions[place] for place in left]
            longest = max(map(len, asked)) + max_tokens
            at_once = self._at_once(len(shown.tokens), len(left), longest)
            found = answer_each(
                self._read(shown),
                shown.segmenter,
                asked,
                max_tokens=max_tokens,
                # Cutting a batch copies it for a moment.
                at_once=max(1, at_once // 2),
            )
            with Progress(what, len(left)) as progress:
                for place, written in found:
                    self._store.add(keys[left[place]], [written.text, written.is_complete])
                    progress.tick()
        return [Written(*self._store[key]) for key in keys]

    def samples(
        self,
        shown: Shown,
        inputs: Sequence[str],
        max_tokens: int,
        count: int,
        temperature: float,
        what: str,
    ) -> list[list[Written]]:
        """Return `count` answers to each input, drawn with a seed of their own each."""
        behind = key_of(self._mark, shown.tokens, max_tokens, temperature)
        questions = [shown.question(text) for text in inputs for _ in range(count)]
        keys = [
            key_of("sample", behind, question, place % count)
            for place, question in enumerate(questions)
        ]
        if left := self._left(keys):
            context = self._read(shown)
            # One after the other: what is drawn does not depend on what is drawn beside it.
            self._at_once(len(shown.tokens), 1, max(map(len, questions)) + max_tokens)
            with Progress(f"{what}: samples", len(left)) as progress:
                for place in left:
                    mx.random.seed(int(keys[place][:8], 16))
                    answer = generate(
                        context,
                        shown.segmenter,
                        questions[place],
                        max_tokens=max_tokens,
                        temperature=temperature,
                        on_chunk=interruptible,
                    )
                    self._store.add(keys[place], [answer.text, answer.finish == "end"])
                    progress.tick()
        found = [Written(*self._store[key]) for key in keys]
        return [found[start : start + count] for start in range(0, len(found), count)]

    def paraphrases(
        self, task: Task, examples: Sequence[Example], max_tokens: int, what: str
    ) -> list[Written]:
        """Return the expected answers in the model's own words."""
        shown = self._instructed(PARAPHRASE)
        texts = [f"{_posed(task, one)}\n\nRight answer: {one.output}" for one in examples]
        return self.answers(shown, texts, max_tokens, what)

    def approvals(self, task: Task, pairs: Sequence[tuple[Example, str]], what: str) -> list[float]:
        """Return the log-odds (nats) of Yes against No, of each example and an answer to it."""
        shown = self._instructed(VERDICT)
        texts = [
            f"{_posed(task, one)}\n\nRight answer: {one.output}\n\nGiven answer: {answer}\n\n"
            "Is the given answer right, Yes or No?"
            for one, answer in pairs
        ]
        questions = [shown.question(text) for text in texts]
        keys = [key_of("approval", self._mark, shown.tokens, question) for question in questions]
        if left := self._left(keys):
            verdicts = [shown.segmenter.answer(word) for word in (YES, NO)]
            context = self._read(shown)
            longest = max(len(questions[place]) for place in left) + max(map(len, verdicts))
            at_once = self._at_once(len(shown.tokens), 2 * len(left), longest)
            with Progress(what, len(left)) as progress:
                for some in _groups(left, max(1, at_once // 2)):
                    asked = [(questions[place], verdict) for place in some for verdict in verdicts]
                    losses = [
                        float(reading.losses.sum())
                        for reading in read_answers(context, asked, at_once=at_once)
                    ]
                    for place, yes, no in zip(some, losses[::2], losses[1::2], strict=True):
                        self._store.add(keys[place], no - yes)
                        progress.tick()
        return [self._store[key] for key in keys]

    def readings(
        self, shown: Shown, asked: Sequence[AskedTokens], most: int, what: str
    ) -> list[Reading]:
        """Return what the base expects at each token of answers, `most` tokens a place."""
        behind = key_of(self._mark, shown.tokens, most)
        keys = [key_of("expected", behind, [*map(list, one)]) for one in asked]
        if left := self._left(keys):
            some = [asked[place] for place in left]
            longest = max(len(question) + len(answer) for question, answer in some)
            at_once = self._at_once(len(shown.tokens), len(left), longest)
            found = teaching.read(self._read(shown), some, most=most, at_once=at_once)
            with Progress(what, len(left)) as progress:
                for place, reading in zip(left, found, strict=True):
                    self._store.add(keys[place], reading.as_json())
                    progress.tick()
        return [Reading(*self._store[key]) for key in keys]

    def _left(self, keys: Sequence[str]) -> list[int]:
        """Return the places of what was never asked, each question once."""
        first = {key: place for place, key in reversed([*enumerate(keys)])}
        return sorted(place for key, place in first.items() if key not in self._store)

    def _instructed(self, instruction: str) -> Shown:
        segmenter = self.segmenter(instruction)
        return Shown(segmenter, tuple(segmenter.opening))

    def _read(self, shown: Shown) -> Context:
        context = Context(self._base.model)
        context.read(shown.tokens)
        return context

    def _at_once(self, prompt: int, queries: int, longest: int) -> int:
        return side_by_side(self._planner, prompt, queries, longest)


def side_by_side(planner: Planner | None, prompt: int, queries: int, longest: int) -> int:
    """Return how many questions there is memory for at once; refuse what has none for one.

    `prompt` and `longest` are tokens: of what stands before, and of a question with its answer.
    """
    most = min(queries, MOST_AT_ONCE)
    if planner is None:
        return most
    plan = plan_evaluation(planner, Asked(prompt, most, longest, 1))
    if refusal := refused(plan, planner.limit):
        raise refusal
    return min(most, plan.copies)


def _posed(task: Task, example: Example) -> str:
    """Return a task's instruction, where it has one, and an input."""
    return "\n\n".join(filter(None, [task.instruction, f"Task: {example.input}"]))


def _groups(places: Iterable[int], size: int) -> Iterator[list[int]]:
    rest = iter(places)
    while some := list(islice(rest, size)):
        yield some
