"""Labels by what they make likely: the channel variant of MetaICL (arXiv 2110.15943)."""

from collections.abc import Iterator, Sequence

from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.evaluation.prompts import Query
from yofo_mlx.evaluation.scores import QueryResult
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.scoring import read_answers


def results(
    context: Context,
    segmenter: Segmenter,
    queries: Sequence[Query],
    labels: Sequence[str],
    *,
    first: bool,
    at_once: int,
) -> Iterator[QueryResult]:
    """Yield of each query the label under which its input is likeliest, and the loss of the input.

    That is the mean over its tokens, in nats, under the expected label.
    """
    for query in queries:
        said, expected = segmenter.answer(query.example.input), query.example.output
        tried = list(dict.fromkeys([*labels, expected]))
        asked = [(segmenter.question(label, first=first), said) for label in tried]
        readings = read_answers(context, asked, at_once=at_once)
        losses = {label: reading.losses for label, reading in zip(tried, readings, strict=True)}
        best = min(tried, key=lambda label: float(losses[label].sum()))
        loss = float(losses[expected].mean())
        yield QueryResult(float(best == expected), loss, choice=best, answer=best)
