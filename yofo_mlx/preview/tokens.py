"""Data sets in the tokens of a model: how long rows are, how many shots fit, an episode of them."""

from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from yofo_mlx.episodes.sampler import tokenize
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.errors import YofoError
from yofo_mlx.models.base import load_tokenizer, model_config
from yofo_mlx.planning import shelf
from yofo_mlx.preview.loaded import demonstrations, set_of, sets_of
from yofo_mlx.recipe.schema import Template
from yofo_mlx.system.progress import counted
from yofo_mlx.tasks.columns import Item
from yofo_mlx.tasks.sources import LoadedSource

SAMPLED = 1000  # rows of a set that are tokenized, evenly from all of it
BINS = 24
_SHOWN_TOKENS = 3000


def tokens(source: dict[str, Any], model: str) -> dict[str, Any]:
    """Return of each data set of a source by its name what it takes in tokens of a model."""
    tokenizer = _tokenizer(model)
    return {"sets": {one.name: _measured(one, tokenizer) for one in sets_of(source)}}


def episode_of(source: dict[str, Any], name: str, model: str, room: int = 4096) -> dict[str, Any]:
    """Return the rows of a data set as an episode of so many tokens: pieces, and which are answers.

    A piece is the text of each of its tokens.
    """
    loaded = set_of(source, name)
    tokenizer = _tokenizer(model)
    segmenter = Segmenter(tokenizer, Template(), loaded.instruction)
    pieces, taken, shots = [(_texts(tokenizer, segmenter.opening), False)], 0, 0
    taken = len(segmenter.opening)
    for item in demonstrations(loaded):
        question = segmenter.question(item.example.input, first=not shots)
        answer = segmenter.answer(item.example.output)
        if taken + len(question) + len(answer) > min(room, _SHOWN_TOKENS):
            break
        pieces += [(_texts(tokenizer, question), False), (_texts(tokenizer, answer), True)]
        taken, shots = taken + len(question) + len(answer), shots + 1
    return {"pieces": pieces, "tokens": taken, "shots": shots}


def models() -> dict[str, Any]:
    """Return the names of the models on this disk, in whose tokens rows can be counted."""
    return {"models": list(shelf.folders_here())}


@lru_cache(maxsize=2)
def _tokenizer(model: str) -> Any:
    """Load the tokenizer of a model that is here: nothing is fetched to count tokens."""
    path = shelf.folders_here().get(model, Path(model).expanduser())
    if not path.is_dir():
        raise YofoError(f"{model} is not on this disk", "choose another model to count tokens of")
    return load_tokenizer(path, model_config(path))


def _measured(loaded: LoadedSource, tokenizer: Any) -> dict[str, Any]:
    segmenter = Segmenter(tokenizer, Template(), loaded.instruction)
    items = demonstrations(loaded)
    words = f"tokenizing {loaded.name}, rows"
    lengths = [_length(segmenter, item) for item in counted(_sampled(items), words)]
    if not lengths:
        return {"rows": 0, "tokens": 0, "median": 0, "longest": 0, "bins": [], "fits": {}}
    mean = sum(lengths) / len(lengths)
    fits = {
        room: max(0, min(len(items), int((room - len(segmenter.opening)) / mean)))
        for room in shelf.LENGTHS
    }
    return {
        "rows": len(items),
        "tokens": round(mean * len(items)),
        "is_sampled": len(lengths) < len(items),
        "median": round(median(lengths)),
        "shortest": min(lengths),
        "longest": max(lengths),
        "bins": _bins(lengths),
        "fits": fits,
    }


def _sampled(items: list[Item]) -> list[Item]:
    step = max(1, -(-len(items) // SAMPLED))
    return items[::step]


def _length(segmenter: Segmenter, item: Item) -> int:
    shot = tokenize(segmenter, item.example)
    return shot.alone


def _bins(lengths: list[int]) -> list[int]:
    """Count rows by their length, in equal steps up to the longest."""
    low, high = min(lengths), max(lengths)
    width = max(1, -(-(high - low + 1) // BINS))
    counts = [0] * -(-(high - low + 1) // width)
    for length in lengths:
        counts[(length - low) // width] += 1
    return counts


def _texts(tokenizer: Any, ids: list[int]) -> list[str]:
    """Return the text of each token; one that ends inside a character gives it to the next."""
    texts, before = [], ""
    for end in range(1, len(ids) + 1):
        whole = str(tokenizer.decode(ids[:end]))
        if whole.endswith("�") and end < len(ids):
            texts.append("")
            continue
        texts.append(whole[len(before) :])
        before = whole
    return texts
