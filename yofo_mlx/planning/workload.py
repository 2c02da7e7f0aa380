"""From a recipe to what a run works on: tasks, their tokenised pools, the sampler."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from yofo_mlx.episodes.companions import companions
from yofo_mlx.episodes.sampler import Pool, Sampler, tokenize_all
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation.limits import notes
from yofo_mlx.evaluation.prompts import asked_of, prompts_of
from yofo_mlx.evaluation.scores import TaskScores
from yofo_mlx.planning.label_tasks import PoolMaker, check_channel, shared_labels
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system.progress import Progress
from yofo_mlx.system.quantities import plural
from yofo_mlx.tasks.families import LABELLED
from yofo_mlx.tasks.registry import TaskEntry, with_queries
from yofo_mlx.tasks.spelling import text_key
from yofo_mlx.tasks.task import Task


@dataclass(frozen=True)
class Protected:
    """How many examples needed care, so that a template stays what it is."""

    spelled: int = 0  # hold a marker of the model, which is read as text
    altered: int = 0  # hold what ends an answer, or a marker of one letter, which was taken out

    def __add__(self, other: "Protected") -> "Protected":
        return Protected(self.spelled + other.spelled, self.altered + other.altered)

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield what was done, as message and hint."""
        if self.spelled:
            message = f"{self.spelled} examples hold markers of the model, such as <s> in HTML"
            yield message, "they are read as the text they are; nothing of them is changed"
        if self.altered:
            message = f"{self.altered} examples hold what ends an answer, and are changed there"
            yield message, "another end in template.output would leave them as they are"


# Python, MLX, mlx-lm and a tokenizer on Linux: a bare process that imported them has 100 MB
# (`VmRSS` in /proc/self/status after `import yofo_mlx.training.loop`), a run some more.
PROCESS_BYTES = 150_000_000
# What an example takes while it is read: its place, its fields, its place in lists. What it has to
# agree with, and how that is measured, is in docs/benchmarks.md, "Data in memory".
READING_BYTES = 350
BY_CHANCE = 0.1  # of a training task's queries; chosen: in the embedded suite it is 2 of 32 at most


@dataclass(frozen=True)
class DataSize:
    """Bytes that a run's data take in the process."""

    examples: int
    texts: int
    tokens: int

    @property
    def nbytes(self) -> int:
        """All of it, what reading leaves behind included."""
        return self.texts + self.tokens + READING_BYTES * self.examples

    def as_dict(self) -> dict[str, float]:
        """Return it as a part of what `yofo plan --json` prints."""
        figures = {"data_gb": self.nbytes, "texts_gb": self.texts, "tokens_gb": self.tokens}
        return {"examples": self.examples} | {k: round(v / 1e9, 6) for k, v in figures.items()}


@dataclass(frozen=True)
class Workload:
    """The data side of a run."""

    entries: list[TaskEntry]
    pools: list[Pool]
    sampler: Sampler
    tokenizer: Any
    protected: Protected

    @property
    def held_out(self) -> list[TaskEntry]:
        """Tasks that are only evaluated."""
        return [entry for entry in self.entries if entry.role == "held_out"]

    def size(self) -> DataSize:
        """Return what the examples take in memory."""
        tasks = [entry.task for entry in self.entries]
        examples = [e for task in tasks for e in (*task.train, *task.valid, *task.test)]
        texts = sum(getsizeof(e) + getsizeof(e.input) + getsizeof(e.output) for e in examples)
        references = (text for task in tasks for more in task.references.values() for text in more)
        texts += sum(map(getsizeof, references))
        tokens = sum(pool.nbytes for pool in self.pools)
        return DataSize(len(examples), texts, tokens)

    def warnings(self, recipe: Recipe) -> Iterator[tuple[str, str]]:
        """Yield what the user should know before a run, as message and hint."""
        for entry in self.entries:
            for note in entry.notes:
                yield note, ""
        yield from self.protected.warnings()
        if left_out := sum(pool.left_out for pool in self.pools):
            message = f"{left_out} examples are longer than an episode and are left out"
            yield message, f"episodes.max_tokens is {recipe.episodes.max_tokens}"
        wanted = recipe.episodes.fixed_shots or recipe.episodes.min_shots
        for pool in self.pools:
            if len(pool.demonstrations) <= wanted:
                shots = len(pool.demonstrations) - 1
                yield (
                    f"task {pool.task} has examples for {plural(shots, 'shot')} only",
                    "it gets those",
                )
            elif pool.fixed is not None and pool.fixed < wanted:
                yield (
                    f"task {pool.task} has room for {plural(pool.fixed, 'fixed shot')} only",
                    "behind more of them half of its other examples would be too long",
                )
        if not self.valid_entries(1):
            message = "no training task has queries to validate with: the last adapter is kept"
            yield message, "give a task `valid` rows, or a valid_share above 0"
        yield from self._leaks()
        yield from self.unmeasured(recipe)

    def unmeasured(self, recipe: Recipe) -> Iterator[tuple[str, str]]:
        """Yield what validations and the evaluation will leave out, as message and hint."""
        chosen = self.valid_entries(recipe.evaluation.valid_tasks)
        validated = [self._asked(recipe, entry, valid=True) for entry in chosen]
        yield from notes(validated, "validations")
        if validated and all(one.reason for one in validated):
            yield "no validation can be measured: the last adapter is kept", "patience is not used"
        held_out = [self._asked(recipe, entry, valid=False) for entry in self.held_out]
        yield from notes(held_out, "held-out tasks")

    def too_long(self, recipe: Recipe, entry: TaskEntry) -> int:
        """Return how many of a held-out task's demonstrations fit no prompt."""
        segmenter = Segmenter(self.tokenizer, recipe.template, entry.task.instruction)
        room = recipe.longest_prompt - len(segmenter.opening)
        shots = tokenize_all(segmenter, dict.fromkeys(entry.task.train))
        return sum(shot.alone > room for shot in shots)

    def _asked(self, recipe: Recipe, entry: TaskEntry, *, valid: bool) -> TaskScores:
        _, prompts = prompts_of(recipe, entry, self.tokenizer, valid=valid)
        return asked_of(recipe, entry, prompts)

    def _leaks(self) -> Iterator[tuple[str, str]]:
        """Yield how many queries of held-out tasks are trained on, of the worst by name."""
        trained = {
            (text_key(example.input), text_key(example.output))
            for entry in self.entries
            if entry.role == "train"
            for example in entry.task.train
        }
        if (message := _known(self.held_out, trained, "held-out task")) is not None:
            yield message, "their answers may be known by heart: accuracy says less about new tasks"
        # Tasks of sums, say, may well have the same ones by chance.
        validated = [e for e in self.entries if e.role == "train" and e.task.family in LABELLED]
        if (message := _known(validated, trained, "training task", BY_CHANCE)) is not None:
            hint = "rows of several tasks: give the data a `valid` split, or a row to one task"
            yield f"{message}, so validations tell less", hint
        if shared := list(shared_labels(self.held_out, trained)):
            message = f"rows and labels of held-out tasks are trained on: {'; '.join(shared)}"
            yield message, "take them out of what is trained: they are not new any more"

    def valid_entries(self, count: int) -> list[TaskEntry]:
        """Draw training tasks with queries of their own, the same ones every time."""
        return with_queries([one for one in self.entries if one.role == "train"], count)


def _known(
    entries: Sequence[TaskEntry], trained: Set[tuple[str, str]], what: str, least: float = 0.0
) -> str | None:
    """Return how many queries of tasks are trained on, of the worst by name; None if none is.

    A task of which no more than the share `least` is does not count.
    """
    found = []
    for entry in entries:
        queries = entry.task.test or entry.task.valid
        if entry.role == "train":
            queries = entry.task.valid or entry.task.test
        known = sum((text_key(q.input), text_key(q.output)) in trained for q in queries)
        if known > least * len(queries):
            words = f"{known} of {len(queries)} queries of {what} {entry.task.name}"
            found.append((known / len(queries), words))
    if not found:
        return None
    more = f", and some of {plural(len(found) - 1, 'more task')}" if len(found) > 1 else ""
    return f"{max(found)[1]} are trained on{more}"


def make_workload(recipe: Recipe, entries: Sequence[TaskEntry], tokenizer: Any) -> Workload:
    """Tokenise the training tasks and set the sampler up."""
    trained = [entry for entry in entries if entry.role == "train"]
    total = sum(len(entry.task.train) for entry in trained)
    check_channel(recipe, entries)
    maker = PoolMaker(recipe, trained, tokenizer)
    pools, protected = [], Protected()
    with Progress("tokenising, examples", total) as progress:
        for entry in entries:
            task = entry.task
            segmenter = Segmenter(tokenizer, recipe.template, task.instruction)
            if entry.role == "train":
                pools.append(maker.make(entry, segmenter, progress.tick))
            protected += count_protected(segmenter, task)
    beside = companions(recipe.objective, recipe.episodes.max_tokens)
    sampler = Sampler(pools, recipe.episodes, recipe.seed, beside)
    return Workload(list(entries), pools, sampler, tokenizer, protected)


def count_protected(segmenter: Segmenter, task: Task) -> Protected:
    """Count the examples of a task that need care."""
    examples = {*task.train, *task.valid, *task.test}
    return Protected(
        sum(any(map(segmenter.holds_marker, (e.input, e.output))) for e in examples),
        sum(segmenter.alters(e.output) or segmenter.cleans(e.input) for e in examples),
    )
