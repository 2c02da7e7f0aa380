"""The log-probabilities of labels, each read by itself: the naive twin of the token tree."""

from collections.abc import Sequence

import numpy as np

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.scoring import LabelScore, read_answers


def score(
    context: Context,
    segmenter: Segmenter,
    question: Sequence[int],
    labels: Sequence[str],
) -> list[LabelScore]:
    """Return the labels with their log-probabilities, best first; the context stays as it was."""
    answers = {label: segmenter.answer(label) for label in labels}
    with context.aside():
        context.read(question[:-1])
        asked = [(question[-1:], answer) for answer in answers.values()]
        readings = read_answers(context, asked)
    scores = [
        LabelScore(label, -float(reading.losses.sum(dtype=np.float64)))
        for label, reading in zip(answers, readings, strict=True)
    ]
    return sorted(scores, key=lambda score: -score.logprob)
