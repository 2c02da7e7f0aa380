"""Which episodes an update takes, and which of them are read together in one pass.

All who draw for an update do it here: the training, what forecasts it, what shows it.
"""

from collections.abc import Iterator, Sequence

from yofo_mlx.episodes.sampler import Episode, Sampler
from yofo_mlx.recipe.schema import Training

# Of an update that is given in tokens:
MOST_TOGETHER = 4096  # tokens of several rows, padding counted; chosen: more gain no speed
ALIKE = 0.75  # of the longest row of a pass: shorter ones go into the next; at most 1/4 is padding


def draw_passes(sampler: Sampler, settings: Training, step: int) -> Iterator[list[Episode]]:
    """Yield the episodes of each pass of an update, a function of the seed and the step.

    Episodes with another last answer come behind those that they are compared with; answers
    without demonstrations in passes of their own, the last ones.
    """
    alone: list[Episode] = []
    area = 0
    for rows in _own_passes(sampler, settings, step):
        beside = [one for row in rows for one in row.beside]
        yield rows + [one for one in beside if one.kind != "zero_shot"]
        alone += [one for one in beside if one.kind == "zero_shot"]
        area = max(area, len(rows) * max(len(row.tokens) for row in rows))
    if alone:
        yield from group(alone, min(area, MOST_TOGETHER))


def _own_passes(sampler: Sampler, settings: Training, step: int) -> Iterator[list[Episode]]:
    if settings.batch_tokens is None:
        for place in range(settings.grad_accumulation_steps):
            yield sampler.draw(step, place, settings.batch_size)
    else:
        drawn = sampler.draw_tokens(step, settings.batch_tokens)
        yield from group(drawn, most_together(settings))


def most_together(settings: Training) -> int:
    """Return the most tokens that several rows of a pass make, where an update is given in them."""
    return min(settings.batch_tokens or 0, MOST_TOGETHER)


def group(episodes: Sequence[Episode], most: int) -> Iterator[list[Episode]]:
    """Yield passes of rows of like length, the longest first.

    A pass of several rows has at most `most` tokens, padding counted.
    """
    rows: list[Episode] = []
    for episode in sorted(episodes, key=lambda one: len(one.tokens), reverse=True):
        longest = len(rows[0].tokens) if rows else 0
        if (len(rows) + 1) * longest > most or len(episode.tokens) < ALIKE * longest:
            yield rows
            rows = []
        rows.append(episode)
    yield rows
