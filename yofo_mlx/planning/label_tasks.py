"""Which tasks of a recipe show some of their labels, or words in place of them."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from typing import Any

from yofo_mlx.episodes.fixed import fix_shots
from yofo_mlx.episodes.labels import labels_in, make_label_pool
from yofo_mlx.episodes.sampler import Pool, make_pool
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.episodes.symbols import Symbols, find_symbols
from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import Episodes, Recipe
from yofo_mlx.recipe.section import LabelRange
from yofo_mlx.tasks.families import LABELLED, SINGLE_LABEL
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.spelling import text_key

_SHOWN = 12  # tasks in an error


class PoolMaker:
    """Makes the pools of a recipe's training tasks."""

    def __init__(self, recipe: Recipe, trained: Sequence[TaskEntry], tokenizer: Any) -> None:
        self._settings, self._seed = recipe.episodes, recipe.seed
        self._contrasts = recipe.objective.contrasts
        check_contrasts(recipe, trained)
        check_subsets(recipe, trained)
        self._symbols: Symbols | None = None
        if recipe.episodes.rename_labels:
            segmenter = Segmenter(tokenizer, recipe.template)
            self._symbols = find_symbols([entry.task for entry in trained], segmenter)
            self._check_words(trained, self._symbols)

    def make(self, entry: TaskEntry, segmenter: Segmenter, tick: Callable[[], None]) -> Pool:
        """Tokenise a task, and its labels where answers are compared with wrong ones."""
        pool = self._pool(entry, segmenter, tick)
        if not self._contrasts or entry.task.family not in SINGLE_LABEL:
            return pool
        labels = tuple(segmenter.answer(label) for label in sorted(_labels(entry)))
        return replace(pool, labels=labels)

    def _pool(self, entry: TaskEntry, segmenter: Segmenter, tick: Callable[[], None]) -> Pool:
        task, settings, subset = entry.task, self._settings, _subset(self._settings, entry)
        symbols = self._symbols if task.family in LABELLED else None
        if settings.fixed_shots or (subset is None and symbols is None):
            limit = settings.max_tokens
            pool = make_pool(task.name, task.train, segmenter, limit, entry.weight, tick)
            if settings.fixed_shots:
                pool = fix_shots(pool, settings.fixed_shots, limit, self._seed)
            return pool
        return make_label_pool(
            task,
            segmenter,
            settings,
            entry.weight,
            tick,
            subset=subset,
            symbols=symbols,
            separator=entry.separator,
        )

    def _check_words(self, trained: Sequence[TaskEntry], symbols: Symbols) -> None:
        """Refuse to rename more labels than there are words, all tasks at once."""
        wrong = []
        for entry in trained:
            if entry.task.family in LABELLED:
                labels, subset = _labels(entry), _subset(self._settings, entry)
                needed = min(len(labels), subset[1]) if subset else len(labels)
                words = len(symbols.words) - len(symbols.own_to(labels))
                if words < needed:
                    wrong.append(f"{entry.task.name} needs {needed}, there are {words}")
        if wrong:
            raise RecipeError(
                "episodes.rename_labels takes words from the inputs that are trained on, which"
                f" hold too few: {_some(wrong)}",
                "show fewer labels with label_subset, or leave rename_labels out",
            )


def check_channel(recipe: Recipe, entries: Sequence[TaskEntry]) -> None:
    """Refuse tasks whose answers are no labels where labels come first."""
    wrong = [one.task.name for one in entries if one.task.family not in SINGLE_LABEL]
    if recipe.template.channel and wrong:
        raise RecipeError(
            f"template.channel is for tasks with one label an answer, not for {_some(wrong)}",
            "give them a `family`, if they are; else leave template.channel out",
        )


def check_contrasts(recipe: Recipe, trained: Sequence[TaskEntry]) -> None:
    """Refuse to compare answers with wrong labels where no task has labels."""
    if not recipe.objective.contrasts:
        return
    if not any(entry.task.family in SINGLE_LABEL and len(_labels(entry)) > 1 for entry in trained):
        raise RecipeError(
            "objective.unlikelihood and objective.choice compare labels, and no task has two",
            f"they are for tasks of family {' or '.join(sorted(SINGLE_LABEL))}",
        )


def check_subsets(recipe: Recipe, trained: Sequence[TaskEntry]) -> None:
    """Refuse subsets of labels that are not there, all of them at once."""
    wrong = []
    for entry in trained:
        name, subset = entry.task.name, _subset(recipe.episodes, entry)
        if entry.label_subset and entry.task.family not in SINGLE_LABEL:
            wrong.append(f"{name} is of family {entry.task.family}")
        elif subset and (count := len(_labels(entry))) < subset[0]:
            wrong.append(f"{name} has {count}, not {subset[0]}")
    if wrong:
        raise RecipeError(
            f"label_subset asks for labels that are not there: {_some(wrong)}",
            "give their [[tasks]] a `label_subset`: `false`, or a range that they have",
        )


def shared_labels(held_out: Sequence[TaskEntry], trained: Set[tuple[str, str]]) -> Iterator[str]:
    """Yield held-out tasks that share labels with rows that are trained on, and which."""
    for entry in held_out:
        if entry.task.family in LABELLED:
            shown = entry.task.train
            keys = ((text_key(row.input), text_key(row.output)) for row in shown)
            shared = {row.output for row, key in zip(shown, keys, strict=True) if key in trained}
            if shared:
                labels = sorted(labels_in(shared, entry.separator))
                yield f"{entry.task.name}: {_some(labels, ', ')}"


def _subset(settings: Episodes, entry: TaskEntry) -> LabelRange | None:
    """Return how many labels an episode shows; None for all, as of tasks without labels."""
    if entry.task.family not in SINGLE_LABEL or entry.label_subset is False:
        return None
    return entry.label_subset or settings.label_subset


def _labels(entry: TaskEntry) -> set[str]:
    """Return the labels that a task's demonstrations show."""
    answers = dict.fromkeys(example.output for example in entry.task.train)
    return labels_in(answers, entry.separator)


def _some(words: Sequence[str], mark: str = "; ") -> str:
    more = f"{mark}and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return mark.join(words[:_SHOWN]) + more
