"""The likeliest of given labels, or all with their log-probabilities, by a tree of their tokens.

What labels begin with in common is judged once. A log-probability only falls along a branch, so a
best-first search finds the best label without reading those that cannot win. Labels may begin each
other: an answer's end is a token, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby, takewhile

import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting.context import Context, OnChunk, ignore
from yofo_mlx.prompting.questions import Asked, Branch, Judged, Tokens, asked, groups_of
from yofo_mlx.prompting.scoring import ROUNDING, LabelScore

_AT_ONCE = 16  # branches of one question read side by side
AHEAD = 4  # branches of a question read at once where there is room: fewer and larger passes

Answer = tuple[Tokens, int]  # and the place of its label


@dataclass(frozen=True)
class Node:
    """The tokens up to where labels part or end, those that end there, and what goes on."""

    tokens: Tokens  # from the root
    start: int  # how many of them are those of the node above
    labels: tuple[int, ...]  # places
    children: tuple["Node", ...]
    branch: Branch

    @property
    def is_known(self) -> bool:
        """Tell whether the node above knows all about it: one token, and an end."""
        return not self.children and len(self.tokens) == self.start + 1


@dataclass(frozen=True)
class LabelTree:
    """Labels by the tokens of their answers."""

    labels: tuple[str, ...]
    root: Node

    @classmethod
    def of(cls, segmenter: Segmenter, labels: Sequence[str]) -> "LabelTree":
        """Make the tree of labels; the first of equal ones counts."""
        labels = tuple(dict.fromkeys(labels))
        answers = [(tuple(segmenter.answer(label)), place) for place, label in enumerate(labels)]
        return cls(labels, _grow(sorted(answers)))


def _tree_of(segmenter: Segmenter, labels: Sequence[str] | LabelTree) -> LabelTree:
    return labels if isinstance(labels, LabelTree) else LabelTree.of(segmenter, labels)


@dataclass
class _Plan:
    """A node to be made of sorted answers."""

    answers: list[Answer]
    start: int
    end: int
    children: list[int]


def _grow(answers: list[Answer]) -> Node:
    """Return the root over sorted answers; a loop, since labels may be longer than a stack."""
    plans = [_Plan(answers, 0, 0, [])]
    for plan in plans:  # grows meanwhile
        longer = [one for one in plan.answers if len(one[0]) > plan.end]
        for _, same in groupby(longer, key=lambda one, end=plan.end: one[0][end]):  # type: ignore[misc]
            below = list(same)
            pairs = zip(below[0][0][plan.end :], below[-1][0][plan.end :], strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            plan.children.append(len(plans))
            plans.append(_Plan(below, plan.end, plan.end + shared, []))
    made: dict[int, Node] = {}
    for number, plan in reversed([*enumerate(plans)]):
        tokens = plan.answers[0][0][: plan.end]
        ending = takewhile(lambda one, end=plan.end: len(one[0]) == end, plan.answers)  # type: ignore[misc]
        children = tuple(made.pop(child) for child in plan.children)
        firsts = np.array([child.tokens[plan.end] for child in children], dtype=np.int32)
        made[number] = Node(
            tokens,
            plan.start,
            tuple(place for _, place in ending),
            children,
            Branch(tokens, min(plan.start + 1, plan.end), firsts),
        )
    return made[0]


def best_each(
    context: Context,
    segmenter: Segmenter,
    questions: Sequence[Sequence[int]],
    labels: Sequence[str] | LabelTree,
    at_once: int,
    on_chunk: OnChunk = ignore,
) -> Iterator[tuple[int, LabelScore]]:
    """Yield the place of each question with the label that `score` puts first, as they end.

    `at_once` questions, or branches of one, are read side by side. The context stays as it was.
    """
    tree = _tree_of(segmenter, labels)
    for place, scores in _searched(context, questions, tree, at_once, on_chunk, prune=True):
        yield place, max(scores, key=lambda one: one.logprob)


def distribution_each(
    context: Context,
    segmenter: Segmenter,
    questions: Sequence[Sequence[int]],
    labels: Sequence[str] | LabelTree,
    at_once: int,
    on_chunk: OnChunk = ignore,
) -> Iterator[tuple[int, list[LabelScore]]]:
    """Yield the place of each question with all labels, best first: what `score` gives."""
    tree = _tree_of(segmenter, labels)
    for place, scores in _searched(context, questions, tree, at_once, on_chunk, prune=False):
        yield place, sorted(scores, key=lambda one: -one.logprob)


def _searched(
    context: Context,
    questions: Sequence[Sequence[int]],
    tree: LabelTree,
    at_once: int,
    on_chunk: OnChunk,
    *,
    prune: bool,
) -> Iterator[tuple[int, Sequence[LabelScore]]]:
    """Yield the place of each question with the labels that were reached, all unless pruned."""
    for group in groups_of(context, questions, at_once):
        with asked(context, [questions[place] for place in group], on_chunk) as ready:
            searches = [_Search(tree.root, prune=prune) for _ in group]
            _read_until_found(ready, searches, at_once)
        for place, search in zip(group, searches, strict=True):
            yield place, search.scores(tree.labels)


def score(
    context: Context,
    segmenter: Segmenter,
    question: Sequence[int],
    labels: Sequence[str] | LabelTree,
    on_chunk: OnChunk = ignore,
) -> list[LabelScore]:
    """Return the labels with their log-probabilities, best first; the context stays as it was."""
    at_once = _AT_ONCE if context.can_fork else 1  # else each branch has a copy of the context
    [(_, found)] = distribution_each(context, segmenter, [question], labels, at_once, on_chunk)
    return found


@dataclass(frozen=True)
class _Siblings:
    """What goes on after a node, the likeliest first."""

    nodes: tuple[Node, ...]
    logprobs: npt.NDArray[np.float64]  # of the path up to each one's first token
    order: npt.NDArray[np.intp]


class _Search:
    """Best-first search for one question: `prune` gives up what cannot be the best label."""

    def __init__(self, root: Node, *, prune: bool) -> None:
        self._prune = prune
        self._found: dict[int, float] = {}
        self._best = -np.inf
        self._open: list[tuple[float, int, _Siblings, int]] = []
        self._pushed = 0
        self._push(_Siblings((root,), np.zeros(1), np.zeros(1, np.intp)), 0)

    def next(self, most: int) -> list[tuple[float, Node]]:
        """Return nodes to be read, with the log-probability up to each; none: all is found."""
        wanted: list[tuple[float, Node]] = []
        while self._open and len(wanted) < most:
            if self._prune and -self._open[0][0] + ROUNDING < self._best:
                break
            bound, _, siblings, at = heappop(self._open)
            self._push(siblings, at + 1)
            node = siblings.nodes[siblings.order[at]]
            if node.is_known:
                self._end(node, -bound)
            else:
                wanted.append((-bound, node))
        return wanted

    def take(self, bound: float, node: Node, judged: Judged) -> None:
        """Go on from a node that has been read."""
        logprob = bound + judged.logprob
        self._end(node, logprob)
        if node.children:
            logprobs = logprob + judged.firsts.astype(np.float64)
            self._push(_Siblings(node.children, logprobs, np.argsort(-logprobs, kind="stable")), 0)

    def scores(self, labels: Sequence[str]) -> list[LabelScore]:
        """Return what is found, in the order of the labels."""
        return [LabelScore(labels[place], self._found[place]) for place in sorted(self._found)]

    def _end(self, node: Node, logprob: float) -> None:
        self._found |= dict.fromkeys(node.labels, logprob)
        if node.labels:
            self._best = max(self._best, logprob)

    def _push(self, siblings: _Siblings, at: int) -> None:
        if at < len(siblings.nodes):
            self._pushed += 1  # equal bounds in the order they came
            bound = -float(siblings.logprobs[siblings.order[at]])
            heappush(self._open, (bound, self._pushed, siblings, at))


def _read_until_found(ready: Asked, searches: Sequence[_Search], at_once: int) -> None:
    """Read branches of all questions side by side until each has found what it looks for."""
    going = dict(enumerate(searches))
    while going:
        ahead = min(AHEAD, max(1, at_once // len(going)))
        wanted = [(n, *pair) for n, search in going.items() for pair in search.next(ahead)]
        going = {n: going[n] for n, *_ in wanted}
        for start in range(0, len(wanted), at_once):
            some = wanted[start : start + at_once]
            read = ready.read([(n, node.branch) for n, _, node in some])
            for (n, bound, node), judged in zip(some, read, strict=True):
                going[n].take(bound, node, judged)
