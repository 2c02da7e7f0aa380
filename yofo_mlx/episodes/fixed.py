"""Fixed shots: the same demonstrations before every query, as in FTICL (arXiv 2403.09162)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from yofo_mlx.episodes.sampler import Demonstrations, Pool, join

LEAST_QUERIES = 0.5  # of a task, that must fit behind its fixed shots; as in an evaluation


def fix_shots(pool: Pool, count: int, max_tokens: int, seed: int) -> Pool:
    """Return a pool whose first `count` demonstrations stand before every query, the others.

    Which they are is a function of the seed and the task's name. There are fewer of them where
    the task has not so many, or where half of the others would not fit behind them.
    """
    name = pool.task.encode("utf-8", "surrogatepass")
    order = np.random.default_rng([seed, *name]).permutation(len(pool.demonstrations))
    count = min(count, len(order) - 1)
    _, later = pool.demonstrations.lengths
    while count:
        room = max_tokens - len(join(pool, order[:count].tolist()).tokens)
        fits = later[order[count:]] <= room
        if fits.mean() >= LEAST_QUERIES:
            break
        count -= 1
    else:
        fits = np.ones(len(order), dtype=bool)
    queries = order[count:][fits]
    chosen = _in_order(pool, [*order[:count].tolist(), *queries.tolist()])
    left_out = pool.left_out + len(order) - len(chosen)
    return replace(pool, demonstrations=chosen, left_out=left_out, fixed=count)


def _in_order(pool: Pool, order: Sequence[int]) -> Demonstrations:
    chosen = Demonstrations()
    for place in order:
        chosen.append(pool.demonstrations[place])
    return chosen
