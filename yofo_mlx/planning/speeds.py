"""How fast this machine has trained a model before: earlier runs, and probes, which are kept."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.events import backwards, figure
from yofo_mlx.runs.listing import list_runs
from yofo_mlx.system import paths

STEPS = 20  # the last of a run
LIKE = 4.0  # lengths of episodes that differ by more say little of each other
MOST_RUNS = 200  # the newest


@dataclass(frozen=True)
class Speed:
    """Tokens a second, and where they were measured."""

    model: str
    max_tokens: int
    tokens_per_s: float
    source: str  # a run's id, or "probe"


def known_speed(recipe: Recipe) -> Speed | None:
    """Return what is known of a recipe's model, at the length of episodes nearest to its own."""

    def distance(speed: Speed) -> float:
        return abs(math.log(speed.max_tokens / recipe.episodes.max_tokens))

    found = [one for one in (*_of_probes(), *_of_runs()) if one.model == recipe.model]
    nearest = min(found, key=distance, default=None)
    return nearest if nearest and distance(nearest) <= math.log(LIKE) else None


def keep_probe(recipe: Recipe, tokens_per_s: float) -> None:
    """Remember what a probe measured."""
    speed = Speed(recipe.model, recipe.episodes.max_tokens, round(tokens_per_s, 1), "probe")
    line = json.dumps({"t": round(time.time()), **asdict(speed)})
    with suppress(OSError):  # it is known for this once
        _kept().parent.mkdir(parents=True, exist_ok=True)
        with _kept().open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _kept() -> Path:
    return paths.home() / "speeds.jsonl"


def _of_probes() -> Iterator[Speed]:
    """Yield what probes measured, the newest first."""
    try:
        lines = _kept().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in reversed(lines):
        with suppress(ValueError, TypeError, KeyError):
            told = json.loads(line)
            yield _speed(told["model"], told["max_tokens"], told["tokens_per_s"], "probe")


def _of_runs() -> Iterator[Speed]:
    for run in list_runs()[:MOST_RUNS]:
        recipe = run.info().recipe or {}
        episodes = recipe.get("episodes")
        if not isinstance(episodes, dict) or not run.events_path.is_file():
            continue
        steps = islice(backwards(run.events_path, {"step"}), STEPS)
        rates = [rate for step in steps if (rate := figure(step, "tokens_per_s"))]
        with suppress(ValueError, TypeError):
            if rates:
                yield _speed(
                    recipe.get("model"), episodes.get("max_tokens"), median(rates), run.run_id
                )


def _speed(model: object, max_tokens: object, rate: float, source: str) -> Speed:
    if not isinstance(model, str) or not isinstance(max_tokens, int):
        raise TypeError
    if max_tokens < 1 or not 0 < rate < math.inf:
        raise ValueError
    return Speed(model, max_tokens, rate, source)
