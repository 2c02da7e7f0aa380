"""What an objective reads beside an episode: answers by themselves, the last one replaced."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from yofo_mlx.episodes.sampler import Companions, Episode, Pool, join
from yofo_mlx.recipe.schema import Objective


def companions(objective: Objective, max_tokens: int) -> Companions:
    """Return what draws them; of those with another last answer only what is not too long."""

    def draw(
        pool: Pool, order: Sequence[int], episode: Episode, rng: np.random.Generator
    ) -> list[Episode]:
        found: list[Episode] = []
        if objective.zero_shot and not episode.renamed:  # no word tells which label it stands for
            asked = order[-1:] if objective.targets == "last" else order
            found += [_alone(pool, place, objective.zero_shot) for place in asked]
            episode.weight = 1 - objective.zero_shot
        if objective.rejected and (rejected := pool.demonstrations[order[-1]].rejected):
            found.append(_replaced(episode, rejected))
            found[-1].kind = "rejected"
        if objective.contrasts:
            wrong = _wrong_labels(pool, episode, objective.wrong_labels, rng)
            found += [_replaced(episode, label) for label in wrong]
        return [one for one in found if len(one.tokens) <= max_tokens]

    return draw


def _alone(pool: Pool, place: int, weight: float) -> Episode:
    return replace(join(pool, [place]), kind="zero_shot", weight=weight)


def _replaced(episode: Episode, answer: list[int]) -> Episode:
    """Return an episode with another last answer."""
    start, _ = episode.answers[-1]
    end = start + len(answer)
    tokens = [*episode.tokens[:start], *answer]
    return Episode(episode.task, tokens, [*episode.answers[:-1], (start, end)], kind="wrong")


def _wrong_labels(
    pool: Pool, episode: Episode, count: int, rng: np.random.Generator
) -> list[list[int]]:
    start, end = episode.answers[-1]
    wrong = [label for label in pool.labels if label != episode.tokens[start:end]]
    return [wrong[place] for place in rng.permutation(len(wrong))[:count]]
