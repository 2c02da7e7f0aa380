"""The likeliest of given labels, or all with their log-probabilities, by a tree of their tokens.

What labels begin with in common is judged once. A log-probability only falls along a branch, so a
best-first search finds the best label without reading those that cannot win. Labels may begin each
other: an answer's end is a token, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from itertools import groupby, takewhile

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting.context import Context, OnChunk, ignore
from yofo_mlx.prompting.pool import Path
from yofo_mlx.prompting.questions import (
    Asked,
    Branch,
    Judged,
    SideBySide,
    Tokens,
    alone,
    by_length,
    log_softmax,
    taken,
)
from yofo_mlx.prompting.scoring import ROUNDING, LabelScore

_AT_ONCE = 16  # branches of one question read side by side
AHEAD = 4  # branches of a question read at once where there is room: fewer and larger passes
_LEAST_WIDTH = 2  # tokens of a node read at once, more where few are: shorter ones are padded
PASS = 64  # tokens of a pass: fewer take hardly less time, more may be read in vain

Answer = tuple[Tokens, int]  # and the place of its label


@dataclass(frozen=True)
class Node:
    """The tokens up to where labels part or end, those that end there, and what goes on."""

    tokens: Tokens  # from the root
    start: int  # how many of them are those of the node above
    labels: tuple[int, ...]  # places
    children: tuple["Node", ...]
    firsts: npt.NDArray[np.int32]  # the first token of each of them


@dataclass(frozen=True)
class LabelTree:
    """Labels by the tokens of their answers."""

    labels: tuple[str, ...]
    root: Node
    longest: int  # most tokens of one

    @classmethod
    def of(cls, segmenter: Segmenter, labels: Sequence[str]) -> "LabelTree":
        """Make the tree of labels; the first of equal ones counts."""
        return cls.grown(labels, [segmenter.answer(label) for label in labels])

    @classmethod
    def grown(cls, labels: Sequence[str], answers: Sequence[Sequence[int]]) -> "LabelTree":
        """Make the tree of labels whose tokens are known."""
        known = dict(zip(labels, map(tuple, answers), strict=True))
        root = _grow(sorted(zip(known.values(), range(len(known)), strict=True)))
        return cls(tuple(known), root, max(map(len, known.values())))


@lru_cache(maxsize=4)
def tree_of(segmenter: Segmenter, labels: tuple[str, ...]) -> LabelTree:
    """Return the tree of labels that many questions are asked with; made once a segmenter."""
    return LabelTree.of(segmenter, labels)


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
            firsts,
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
    if context.can_pool(on_chunk):
        yield from _side_by_side(context, questions, tree, at_once, on_chunk, prune=prune)
        return
    for place, question in enumerate(questions):
        with alone(context, question, on_chunk) as ready:
            root = Branch((), 0, tree.root.firsts)
            search = _Search(tree.root, ready.read([(place, root)])[0], prune=prune)
            while _go_on(ready, {place: search}, at_once, None):
                pass
        yield place, search.scores(tree.labels)


def _side_by_side(
    context: Context,
    questions: Sequence[Sequence[int]],
    tree: LabelTree,
    at_once: int,
    on_chunk: OnChunk,
    *,
    prune: bool,
) -> Iterator[tuple[int, Sequence[LabelScore]]]:
    """Search for several questions together; as some of them end, others come in."""
    ready = SideBySide(context, on_chunk)
    waiting = by_length(questions)
    going: dict[int, _Search] = {}
    while waiting or going:
        if waiting and len(going) <= at_once // 2:
            some = taken(waiting, questions, at_once - len(going), ready)
            for places, logits in ready.ends(some):
                firsts = np.array(log_softmax(logits)[:, mx.array(tree.root.firsts)])
                for place, of in zip(places, firsts, strict=True):
                    root = Judged(0.0, of, ready.path(place))
                    going[place] = _Search(tree.root, root, prune=prune)
        still = _go_on(ready, going, at_once, PASS)
        for place in going.keys() - still:
            yield place, going.pop(place).scores(tree.labels)
            ready.forget(place)


def _go_on(
    ready: Asked, going: Mapping[int, "_Search"], at_once: int, tokens: int | None
) -> set[int]:
    """Read branches of all questions side by side; return those that had any to be read."""
    ahead = min(AHEAD, max(1, at_once // len(going)))
    width = max(_LEAST_WIDTH, tokens // (ahead * len(going))) if tokens else None
    wanted = [(n, step) for n, search in going.items() for step in search.next(ahead, width)]
    for start in range(0, len(wanted), at_once):
        some = wanted[start : start + at_once]
        read = ready.read([(n, step.branch) for n, step in some])
        for (n, step), judged in zip(some, read, strict=True):
            going[n].take(step, judged)
    return {n for n, _ in wanted}


def score(
    context: Context,
    segmenter: Segmenter,
    question: Sequence[int],
    labels: Sequence[str] | LabelTree,
    on_chunk: OnChunk = ignore,
) -> list[LabelScore]:
    """Return the labels with their log-probabilities, best first; the context stays as it was."""
    at_once = (
        _AT_ONCE if context.can_pool(on_chunk) else 1
    )  # else each branch has a copy of the context
    [(_, found)] = distribution_each(context, segmenter, [question], labels, at_once, on_chunk)
    return found


@dataclass(frozen=True)
class _Siblings:
    """What goes on after a node, the likeliest first, or the rest of one node."""

    nodes: tuple[Node, ...]
    logprobs: npt.NDArray[np.float64]  # of the path up to the last token that is judged
    order: npt.NDArray[np.intp]
    judged: int  # tokens of each node's
    path: Path  # what is kept of what stands before


@dataclass(frozen=True)
class _Step:
    """A node, or some more of its tokens, to be read; and the log-probability up to there."""

    node: Node
    logprob: float
    branch: Branch


class _Search:
    """Best-first search for one question: `prune` gives up what cannot be the best label."""

    def __init__(self, root: Node, judged: Judged, *, prune: bool) -> None:
        self._prune = prune
        self._found: dict[int, float] = {}
        self._best = -np.inf
        self._open: list[tuple[float, int, _Siblings, int]] = []
        self._pushed = 0
        self._go_on_after(root, 0.0, judged)

    def next(self, most: int, width: int | None = None) -> list[_Step]:
        """Return what is to be read, some `width` tokens of a node; nothing: all is found."""
        wanted: list[_Step] = []
        while self._open and len(wanted) < most:
            if self._prune and -self._open[0][0] + ROUNDING < self._best:
                break
            bound, _, siblings, at = heappop(self._open)
            self._push(siblings, at + 1)
            node = siblings.nodes[siblings.order[at]]
            if not node.children and siblings.judged == len(node.tokens):
                self._end(node, -bound)
            else:
                wanted.append(_Step(node, -bound, _branch(node, siblings, width)))
        return wanted

    def take(self, step: _Step, judged: Judged) -> None:
        """Go on from what has been read."""
        node, logprob = step.node, step.logprob + judged.logprob
        if len(step.branch.tokens) == len(node.tokens):
            self._go_on_after(node, logprob, judged)
            return
        only = np.zeros(1, np.intp)
        end = len(step.branch.tokens)
        self._push(_Siblings((node,), np.array([logprob]), only, end, judged.path), 0)

    def scores(self, labels: Sequence[str]) -> list[LabelScore]:
        """Return what is found, in the order of the labels."""
        return [LabelScore(labels[place], self._found[place]) for place in sorted(self._found)]

    def _go_on_after(self, node: Node, logprob: float, judged: Judged) -> None:
        self._end(node, logprob)
        if node.children:
            logprobs = logprob + judged.firsts.astype(np.float64)
            order = np.argsort(-logprobs, kind="stable")
            judged_of = len(node.tokens) + 1
            self._push(_Siblings(node.children, logprobs, order, judged_of, judged.path), 0)

    def _end(self, node: Node, logprob: float) -> None:
        self._found |= dict.fromkeys(node.labels, logprob)
        if node.labels:
            self._best = max(self._best, logprob)

    def _push(self, siblings: _Siblings, at: int) -> None:
        if at < len(siblings.nodes):
            self._pushed += 1  # equal bounds in the order they came
            bound = -float(siblings.logprobs[siblings.order[at]])
            heappush(self._open, (bound, self._pushed, siblings, at))


def _branch(node: Node, siblings: _Siblings, width: int | None) -> Branch:
    """Return so many of a node's tokens, or the last ones, with what comes after them."""
    end, whole = siblings.judged, len(node.tokens)
    if width is None or end + width >= whole:
        return Branch(node.tokens, end, node.firsts, siblings.path, is_end=not node.children)
    return Branch(node.tokens[: end + width], end, np.empty(0, np.int32), siblings.path)
