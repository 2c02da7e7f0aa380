"""A task's targets: the base's own answers where a judge accepts them, else the expected ones.

Between the two, its paraphrase of the expected answer is tried: that is S3FT (arXiv 2502.08130),
without it SSR (2409.04787).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.evaluation.prompts import MARGIN
from yofo_mlx.prompting.batched import Written
from yofo_mlx.prompting.selection import Room, choose
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.rehearsal.asker import Asker, Shown
from yofo_mlx.rehearsal.judges import accepts
from yofo_mlx.rehearsal.settings import JUDGES, SHOTS, USUAL, RehearsalSettings
from yofo_mlx.rehearsal.teaching import Expected
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.registry import METRICS, TaskEntry
from yofo_mlx.tasks.spelling import text_key, unify_lines
from yofo_mlx.tasks.task import Example

Provenance = Literal["own", "paraphrase", "gold"]
APART = 0.5  # between the shares of right and of wrong answers that a judge accepts, at least
TRIED = 16  # rows on which a model that judges is itself judged


@dataclass(frozen=True)
class Target:
    """A training row: an input, what is trained on, where that is from, and what it was."""

    input: str
    output: str
    provenance: Provenance
    gold: str
    teacher: Expected | None = None
    doubt: float | None = None


@dataclass(frozen=True)
class Trust:
    """From which log-odds of Yes on a model accepts; shares of right and wrong ones it so does."""

    least: float
    right: float
    wrong: float

    def accepts(self, odds: float) -> bool:
        """Tell whether an answer is accepted: none is, where right is not told from wrong."""
        return self.right - self.wrong >= APART and odds >= self.least


@dataclass(frozen=True)
class RehearsedTask:
    """A task's training rows as they became, and what there is to say of them."""

    entry: TaskEntry
    judge: str
    shots: int
    targets: tuple[Target, ...]
    cut: int  # answers longer than they may be
    too_long: int  # inputs that fit no prompt
    paraphrases: bool  # were asked for
    trust: Trust | None = None


class Rehearsal:
    """The base, a recipe and settings; a task after the other."""

    def __init__(
        self, asker: Asker, recipe: Recipe, settings: RehearsalSettings, longest: int
    ) -> None:
        """`longest`: most tokens of a prompt with its answer."""
        self._asker, self._settings = asker, settings
        self._seed, self._given = recipe.seed, recipe.evaluation.max_answer_tokens
        self._longest = longest
        # Without a chat template nothing follows an instruction.
        self._follows = asker.segmenter("").style == "chat"

    def task(self, entry: TaskEntry) -> RehearsedTask:
        """Return a task's targets."""
        task = entry.task
        judge = self._judge(entry)
        examples = self._drawn(entry)
        segmenter = self._asker.segmenter(task.instruction)
        longest = max(len(segmenter.answer(one.output)) for one in examples)
        limit = self._given or longest + longest // 2 + MARGIN
        if self._settings.doubt:
            return self._doubted(entry, examples)
        if self._settings.distill:
            return self._distilled(entry, examples, limit, self._settings.distill)
        answers, shots = self._answers(entry, examples, limit)
        trust = self._trust(entry, examples) if judge == "model" else None
        own = self._accepted(entry, answers, trust)
        left = [one for one in examples if one not in own]
        # A label has no other words.
        asks = self._settings.paraphrase and self._follows and task.family not in LABELLED
        said: dict[Example, str] = {}
        if asks and left:
            words = f"{task.name}: paraphrases"
            written = self._asker.paraphrases(task, left, limit, words)
            told = {one: a for one, a in zip(left, written, strict=True) if _tells_all(one, a)}
            said = self._accepted(entry, told, trust)
        return RehearsedTask(
            entry,
            judge,
            shots,
            tuple(_target(one, own, said) for one in examples),
            sum(not written.is_complete for written in answers.values()),
            len(examples) - len(answers),
            asks,
            trust,
        )

    def _doubted(self, entry: TaskEntry, examples: Sequence[Example]) -> RehearsedTask:
        """Return the expected answers with the base's doubt, without demonstrations."""
        shown = self._asker.shown(entry.task, (), self._longest)
        asked = [
            (shown.question(one.input), shown.segmenter.answer(one.output)) for one in examples
        ]
        words = f"{entry.task.name}: doubt"
        readings = self._asker.readings(shown, asked, 1, words)
        targets = tuple(
            Target(one.input, one.output, "gold", one.output, doubt=reading.entropy)
            for one, reading in zip(examples, readings, strict=True)
        )
        return RehearsedTask(entry, "none", 0, targets, 0, 0, paraphrases=False)

    def _distilled(
        self, entry: TaskEntry, examples: Sequence[Example], limit: int, most: int
    ) -> RehearsedTask:
        """Return the pupil's own answers with the teacher's distributions at their tokens.

        Where the pupil says nothing, or comes to no end, the expected answer is taught.
        """
        name = entry.task.name
        pupil = self._asker.shown(entry.task, (), self._longest)
        texts = [one.input for one in examples]
        written = self._asker.answers(pupil, texts, limit, f"{name}: own answers")
        own = [unify_lines(one.text).strip() if one.is_complete else "" for one in written]
        targets = [
            Target(one.input, text, "own", one.output)
            if text_key(text)
            else Target(one.input, one.output, "gold", one.output)
            for one, text in zip(examples, own, strict=True)
        ]
        teacher, _ = self._shown(entry, (), limit)
        answer, asked = teacher.segmenter.answer, teacher.segmenter.question
        questions = [
            [*teacher.question(one.input), *answer(one.gold), *asked(one.input)] for one in targets
        ]
        room = self._longest - len(teacher.tokens)
        pairs = zip(targets, questions, strict=True)
        kept = [(one, q) for one, q in pairs if len(q) + len(answer(one.output)) <= room]
        read = [(question, answer(one.output)) for one, question in kept]
        readings = self._asker.readings(teacher, read, most, f"{name}: teacher")
        taught = tuple(
            replace(one, teacher=reading.tokens)
            for (one, _), reading in zip(kept, readings, strict=True)
        )
        cut = sum(not one.is_complete for one in written)
        too_long = len(targets) - len(taught)
        return RehearsedTask(entry, "none", teacher.shots, taught, cut, too_long, False)

    def _judge(self, entry: TaskEntry) -> str:
        """Return who judges: as it was said, or as the recipe compares, or as the family does."""
        family = entry.task.family
        if said := self._settings.judge(family):
            return said
        if entry.metric != METRICS[family] and entry.metric in JUDGES:
            return entry.metric
        return USUAL.get(family) or ("model" if self._follows else "normalised")

    def _drawn(self, entry: TaskEntry) -> list[Example]:
        """Return the rows to answer, in their order."""
        rows, most = list(dict.fromkeys(entry.task.train)), self._settings.limit
        if most is None or most >= len(rows):
            return rows
        draw = random.Random(f"{self._seed}/{entry.task.name}")
        return [rows[place] for place in sorted(draw.sample(range(len(rows)), most))]

    def _answers(
        self, entry: TaskEntry, examples: Sequence[Example], limit: int
    ) -> tuple[dict[Example, Written], int]:
        """Return the base's answers to what fits, and the most demonstrations before one.

        What is shown to the others is itself asked behind other demonstrations.
        """
        first = self._shown(entry, (), limit)
        other = self._shown(entry, first[1], limit) if first[1] else first
        found: dict[Example, Written] = {}
        for (shown, _), is_first in ((first, True), (other, False)):
            some = [one for one in examples if (one.input not in first[1]) == is_first]
            room = self._longest - len(shown.tokens) - limit
            some = [one for one in some if len(shown.question(one.input)) <= room]
            texts = [one.input for one in some]
            written = self._asker.answers(shown, texts, limit, f"{entry.task.name}: answers")
            found |= zip(some, written, strict=True)
        return found, first[0].shots

    def _shown(
        self, entry: TaskEntry, without: Sequence[str], limit: int
    ) -> tuple[Shown, tuple[str, ...]]:
        """Return demonstrations whose inputs are not among those, and their inputs."""
        task = entry.task
        segmenter = self._asker.segmenter(task.instruction)
        shots = self._settings.shots
        if shots is None:
            shots = 0 if self._follows and task.family not in LABELLED else SHOTS
        offered = [one for one in task.train if one.input not in set(without)]
        chosen = choose(
            offered,
            seed=self._seed,
            room=Room(self._longest - limit, len(segmenter.opening)),
            length=lambda one: tokenize(segmenter, one).alone,
            shots=min(shots, len(task.train) // 2),
        ).examples
        shown = self._asker.shown(task, chosen, self._longest)
        return shown, tuple(one.input for one in chosen)

    def _accepted(
        self, entry: TaskEntry, answers: dict[Example, Written], trust: Trust | None
    ) -> dict[Example, str]:
        """Return the texts that the judge accepts; one that was cut is no answer."""
        judge = self._judge(entry)
        whole = [(one, a.text) for one, a in answers.items() if a.is_complete and a.text]
        if trust:
            found = self._asker.approvals(entry.task, whole, f"{entry.task.name}: verdicts")
            verdicts = list(map(trust.accepts, found))
        else:
            command, said = self._settings.command, self._asker.segmenter("").said
            verdicts = [accepts(judge, entry, *pair, command, said) for pair in whole]
        return {one: text for (one, text), good in zip(whole, verdicts, strict=True) if good}

    def _trust(self, entry: TaskEntry, examples: Sequence[Example]) -> Trust:
        """Let the model judge what is known, expected answers and those of other rows.

        It says Yes or No by habit, too; the middle between the two is free of that.
        """
        some = examples[:TRIED]
        right = [(one, one.output) for one in some]
        shifted = zip(some, [*some[1:], *some[:1]], strict=True)
        wrong = [(one, other.output) for one, other in shifted if one.output != other.output]
        words = f"{entry.task.name}: the judge itself"
        good, bad = (self._asker.approvals(entry.task, pairs, words) for pairs in (right, wrong))
        if not bad:  # all answers are the same
            return Trust(0.0, _share(good, 0.0), 0.0)
        least = (median(good) + median(bad)) / 2
        return Trust(least, _share(good, least), _share(bad, least))


def _share(odds: Sequence[float], least: float) -> float:
    return sum(one >= least for one in odds) / len(odds)


def _tells_all(example: Example, paraphrase: Written) -> bool:
    """Tell whether a paraphrase may hold all that it is of: the bare result has lost the way."""
    return 2 * len(paraphrase.text) >= len(example.output)


def _target(example: Example, own: dict[Example, str], said: dict[Example, str]) -> Target:
    gold = example.output
    if example in own:
        return Target(example.input, own[example], "own", gold)
    if example in said:
        return Target(example.input, said[example], "paraphrase", gold)
    return Target(example.input, gold, "gold", gold)
