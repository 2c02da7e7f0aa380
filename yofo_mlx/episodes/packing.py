"""Lengths that go together: rows of like length under padding, and episodes that share one row."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from yofo_mlx.episodes.batches import Batch

ALIKE = 0.75  # of the longest row of a group: shorter ones go into the next; at most 1/4 is padding


def alike(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Yield groups of places of like length, the longest first.

    A group of several has at most `most` tokens, padding counted.
    """
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        longest = lengths[group[0]] if group else 0
        if (len(group) + 1) * longest > most or lengths[place] < ALIKE * longest:
            yield group
            group = []
        group.append(place)
    yield group


def rows_of(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Yield the places that share each row, the longest first; rows are about equally full.

    A row of several has at most `most` tokens.
    """
    total = sum(lengths)
    share = total / ceil(total / most)
    row: list[int] = []
    size = 0
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if row and (size >= share or size + lengths[place] > most):
            yield row
            row, size = [], 0
        row.append(place)
        size += lengths[place]
    yield row


def unpacked(batch: Batch, most: int) -> Iterator[Batch]:
    """Yield a packed row's episodes as padded batches of at most `most` tokens, or one episode."""
    ends = np.cumsum(batch.lengths)
    starts = ends - batch.lengths
    owner = np.searchsorted(ends, batch.rows, side="right")
    for group in alike(batch.lengths.tolist(), most):
        lengths = batch.lengths[group]
        tokens = np.zeros((len(group), int(lengths.max())), dtype=np.int32)
        line = np.full(len(starts), -1)
        line[group] = np.arange(len(group))
        for index, place in enumerate(group):
            tokens[index, : lengths[index]] = batch.tokens[0, starts[place] : ends[place]]
        taken = line[owner] >= 0
        if not taken.any():  # none of them has a target
            continue
        answers, of_targets = np.unique(batch.answers[taken], return_inverse=True)
        rows = line[owner] * tokens.shape[1] + batch.rows - starts[owner]
        yield replace(
            batch,
            tokens=tokens,
            lengths=lengths,
            rows=rows[taken].astype(np.int32),
            targets=batch.targets[taken],
            weights=batch.weights[taken],
            denominator=float(batch.weights[taken].sum()),
            tasks=tuple(batch.tasks[place] for place in group),
            shots=tuple(batch.shots[place] for place in group),
            answers=of_targets.astype(np.int32),
            rows_of_answers=line[batch.rows_of_answers[answers]].astype(np.int32),
            kinds=tuple(batch.kinds[place] for place in group),
            beside=tuple(range(len(group))),  # in a packed row nothing is compared
            smoothing=None if batch.smoothing is None else batch.smoothing[taken],
        )
