"""How many tokens of a model demonstrations are, told without loading its weights."""

from collections.abc import Iterable

from yofo_mlx.episodes.sampler import tokenize_all
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.models.base import load_tokenizer, model_config, model_path
from yofo_mlx.prompting.loading import find_source
from yofo_mlx.tasks.task import Example


def lengths(
    run: str | None, model: str | None, instruction: str, examples: Iterable[Example]
) -> tuple[int, list[int]]:
    """Return the tokens that stand before all demonstrations, and those of each."""
    source = find_source(run, model, None)
    path = model_path(source.model, source.revision, weights=False)
    config = model_config(path)
    tokenizer = load_tokenizer(path, config, trust_remote_code=source.trust_remote_code)
    segmenter = Segmenter(tokenizer, source.template, instruction)
    return len(segmenter.opening), [one.alone for one in tokenize_all(segmenter, examples)]
