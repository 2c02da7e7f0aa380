"""Episodes to arrays: tokens, and which rows of them are targets with what weight."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.sampler import Episode, Kind
from yofo_mlx.errors import DataError
from yofo_mlx.recipe.schema import Objective


@dataclass(frozen=True)
class Batch:
    """B episodes, right-padded to L, with N target tokens in all; or several packed in one row.

    Of a packed row B is 1 and L the sum of `lengths`: the model is to read each by itself
    (`gradients/segments.py`).

    The loss of an update is sum(weights * nll) / sum(denominator), both sums taken over all of
    its batches.
    """

    tokens: npt.NDArray[np.int32]  # (B, L)
    lengths: npt.NDArray[np.int32]  # (B,), or of all episodes of a packed row
    rows: npt.NDArray[np.int32]  # (N,) places in B * L whose output predicts a target
    targets: npt.NDArray[np.int32]  # (N,) the predicted tokens
    weights: npt.NDArray[np.float32]  # (N,)
    denominator: float
    tasks: tuple[str, ...]
    shots: tuple[int, ...]  # of the episodes that were drawn
    objective: Objective
    answers: npt.NDArray[np.int32]  # (N,) which of A answers each target is of
    rows_of_answers: npt.NDArray[np.int32]  # (A,) which of B rows each stands in
    kinds: tuple[Kind, ...]  # of the rows
    beside: tuple[int, ...]  # the row that each row is compared with; itself as drawn
    smoothing: npt.NDArray[np.float32] | None  # (N,) share that is spread over all tokens

    @property
    def is_packed(self) -> bool:
        """Tell whether several episodes share a row."""
        return len(self.lengths) > len(self.tokens)

    @property
    def token_count(self) -> int:
        """Tokens without padding."""
        return int(self.lengths.sum())


def make_batch(
    episodes: Sequence[Episode], objective: Objective, pad: int = 0, *, packed: bool = False
) -> Batch:
    """Lay episodes out as arrays with the targets that the objective asks for.

    Each has a row of its own, or with `packed` a place in the only one.
    """
    lengths = np.array([len(episode.tokens) for episode in episodes], dtype=np.int32)
    shape = (1, int(lengths.sum())) if packed else (len(episodes), int(lengths.max()))
    starts = np.cumsum(lengths) - lengths if packed else np.arange(len(episodes)) * shape[1]
    flat = np.full(shape[0] * shape[1], pad, dtype=np.int32)
    rows, targets, weights, smoothing = [], [], [], []
    rows_of_answers: list[int] = []
    denominator = 0.0
    for index, (first, episode) in enumerate(zip(starts.tolist(), episodes, strict=True)):
        row = np.asarray(episode.tokens, dtype=np.int32)
        flat[first : first + len(row)] = row  # padding behind it: no token of its own looks there
        for one in _answers(episode, objective):
            rows.append(one.places - 1 + first)  # a place predicts the next token
            targets.append(one.tokens)
            # A summary must not outweigh 500 labels: an answer's tokens share the weight of one.
            whole = 1.0 if objective.normalize == "answer" else one.size
            # An answer that is not to be given has no part in the mean.
            whole *= episode.weight if episode.kind in ("own", "zero_shot") else 0.0
            weights.append(whole / one.size * one.shares)
            smoothing.append(np.full(len(one.tokens), objective.smoothing * one.doubt))
            rows_of_answers.append(index)
            denominator += whole
    owners = {id(one): index for index, row in enumerate(episodes) for one in row.beside}
    if not rows:
        raise DataError(
            f"an episode of task {episodes[0].task!r} has no target",
            "its answers are empty after tokenisation: look at them with `yofo show`",
        )
    return Batch(
        tokens=flat.reshape(shape),
        lengths=lengths,
        rows=np.concatenate(rows).astype(np.int32),
        targets=np.concatenate(targets).astype(np.int32),
        weights=np.concatenate(weights).astype(np.float32),
        denominator=denominator,
        tasks=tuple(episode.task for episode in episodes),
        shots=tuple(episode.shots for episode in episodes if episode.kind == "own"),
        objective=objective,
        answers=np.repeat(np.arange(len(rows)), [len(part) for part in rows]).astype(np.int32),
        rows_of_answers=np.array(rows_of_answers, dtype=np.int32),
        kinds=tuple(episode.kind for episode in episodes),
        beside=tuple(owners.get(id(one), index) for index, one in enumerate(episodes)),
        smoothing=np.concatenate(smoothing).astype(np.float32) if objective.smoothing else None,
    )


def target_spans(episode: Episode, objective: Objective) -> list[tuple[int, int]]:
    """Return the (start, end) of the tokens that carry loss; the first token never can."""
    if objective.targets == "tokens":
        return [(1, len(episode.tokens))] if len(episode.tokens) > 1 else []
    spans = episode.answers[-1:] if objective.targets == "last" else episode.answers
    return [(max(start, 1), end) for start, end in spans if end > max(start, 1)]


@dataclass(frozen=True)
class _Answer:
    """A span whose tokens carry loss."""

    size: int  # tokens of the span
    places: npt.NDArray[np.int64]  # of its targets in the episode
    tokens: npt.NDArray[np.int32]  # the targets
    shares: npt.NDArray[np.float64]  # of each target in its place
    doubt: float


def _answers(episode: Episode, objective: Objective) -> Iterator[_Answer]:
    """Yield the spans that are read for their loss."""
    spans = target_spans(episode, objective)
    if episode.kind in ("rejected", "wrong"):
        spans = spans[-1:]
    known = {span: answer for answer, span in enumerate(episode.answers)}
    row = np.asarray(episode.tokens, dtype=np.int32)
    for start, end in spans:
        answer, places = known.get((start, end), -1), np.arange(start, end)
        doubt = episode.doubts[answer] if 0 <= answer < len(episode.doubts) else 0.0
        taught = episode.teachers.get(answer)
        if taught is None:
            yield _Answer(end - start, places, row[start:end], np.ones(end - start), doubt)
        else:  # a place has as many targets as its teacher says
            pairs = np.array(taught)  # (T, K, 2)
            places, flat = places.repeat(pairs.shape[1]), pairs.reshape(-1, 2)
            tokens = flat[:, 0].astype(np.int32)
            yield _Answer(end - start, places, tokens, flat[:, 1], doubt)
