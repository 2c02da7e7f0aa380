"""Log-probabilities of given answers, each read from the same context and question."""

from collections.abc import Sequence
from dataclasses import dataclass

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting.context import Context, OnChunk, ignore


@dataclass(frozen=True)
class Score:
    """A label and the log-probability of its tokens, the answer's end included."""

    label: str
    logprob: float


def score(
    context: Context,
    segmenter: Segmenter,
    question: Sequence[int],
    labels: Sequence[str],
    on_chunk: OnChunk = ignore,
) -> list[Score]:
    """Return the labels with their log-probabilities, best first; the context stays as it was."""
    scores = []
    with context.aside():
        context.read(question[:-1], on_chunk)
        asked = context.mark()
        for label in dict.fromkeys(labels):
            answer = segmenter.answer(label)
            tokens = [question[-1], *answer[:-1]]
            scores.append(Score(label, context.log_probability(tokens, answer, on_chunk)))
            context.rewind(asked)
    return sorted(scores, key=lambda score: -score.logprob)
