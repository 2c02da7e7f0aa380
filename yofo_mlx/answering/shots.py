"""What the model makes of its own demonstrations: each asked behind those that stand before it."""

from collections.abc import Iterator, Sequence

from yofo_mlx.answering.asking import log_shares
from yofo_mlx.evaluation.calibration import Judged
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.label_tree import LabelTree, score
from yofo_mlx.prompting.prefix import Prefix
from yofo_mlx.system.progress import Progress

MOST = 128  # demonstrations that are asked


def judged_shots(prefix: Prefix, labels: Sequence[str]) -> Iterator[Judged]:
    """Yield what a model thinks of the later half of its demonstrations, one after the other.

    What stands before them is most like what stands before a query.
    """
    segmenter, examples = prefix.segmenter, prefix.demonstrations
    context, ahead = Context(prefix.context.model), list(segmenter.opening)
    tree = LabelTree.of(segmenter, labels)
    start = max(len(examples) // 2, len(examples) - MOST)
    with Progress("demonstrations asked", len(examples) - start) as progress:
        for place, example in enumerate(examples):
            question = segmenter.question(example.input, first=not place)
            if place >= start and example.output in labels:
                context.read(ahead)
                ahead = []
                yield log_shares(score(context, segmenter, question, tree), example.output)
                progress.tick()
            ahead += [*question, *segmenter.answer(example.output)]
