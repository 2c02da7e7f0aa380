"""Episodes to arrays: tokens, and which rows of them are targets with what weight."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yofo_mlx.episodes.sampler import Episode
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
    tasks: tuple[str, ...] = ()
    shots: tuple[int, ...] = ()

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
    rows, targets, weights = [], [], []
    denominator = 0.0
    for first, episode in zip(starts.tolist(), episodes, strict=True):
        row = np.asarray(episode.tokens, dtype=np.int32)
        flat[first : first + len(row)] = row  # padding behind it: no token of its own looks there
        for start, end in target_spans(episode, objective):
            places = np.arange(start, end)
            rows.append(places - 1 + first)  # a place predicts the next token
            targets.append(row[start:end])
            # A summary must not outweigh 500 labels: an answer's tokens share the weight of one.
            by_answer = objective.normalize == "answer"
            weights.append(np.full(end - start, 1 / (end - start) if by_answer else 1.0))
            denominator += 1.0 if by_answer else end - start
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
        shots=tuple(episode.shots for episode in episodes),
    )


def target_spans(episode: Episode, objective: Objective) -> list[tuple[int, int]]:
    """Return the (start, end) of the tokens that carry loss; the first token never can."""
    if objective.targets == "tokens":
        return [(1, len(episode.tokens))] if len(episode.tokens) > 1 else []
    spans = episode.answers[-1:] if objective.targets == "last" else episode.answers
    return [(max(start, 1), end) for start, end in spans if end > max(start, 1)]
