"""Which episodes an update takes, and which of them are read together in one pass.

All who draw for an update do it here: the training, what forecasts it, what shows it.
"""

from collections.abc import Iterator

from yofo_mlx.episodes.packing import alike, rows_of
from yofo_mlx.episodes.sampler import Episode, Sampler
from yofo_mlx.recipe.schema import Training

# Of an update that is given in tokens: of several episodes, padding counted. Chosen: more gain no
# speed.
MOST_TOGETHER = 4096


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
        lengths = [len(episode.tokens) for episode in alone]
        for places in alike(lengths, min(area, MOST_TOGETHER)):
            yield [alone[place] for place in places]


def _own_passes(sampler: Sampler, settings: Training, step: int) -> Iterator[list[Episode]]:
    if settings.batch_tokens is None:
        for place in range(settings.grad_accumulation_steps):
            yield sampler.draw(step, place, settings.batch_size)
    else:
        drawn = sampler.draw_tokens(step, settings.batch_tokens)
        lengths = [len(episode.tokens) for episode in drawn]
        together = rows_of if settings.packed else alike
        for places in together(lengths, most_together(settings)):
            yield [drawn[place] for place in places]


def most_together(settings: Training) -> int:
    """Return the most tokens that several episodes of a pass make; 0: none is given in tokens.

    A row of all episodes of an update may be a little more than the update was to be.
    """
    if settings.packed:
        return MOST_TOGETHER
    return min(settings.batch_tokens or 0, MOST_TOGETHER)
