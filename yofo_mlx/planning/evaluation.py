"""How much memory a validation or an evaluation needs, and how many queries it asks at once.

Its demonstrations are held as keys and values of all layers. Several queries that are asked at
once share them, or start from copies where a model's cache is no plain one: as many as fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from yofo_mlx.errors import FitError
from yofo_mlx.evaluation.labels import labels_of
from yofo_mlx.evaluation.prompts import Prompts, Query, prompts_of
from yofo_mlx.planning.planner import MARGIN, SMALLER, Planner, as_gb
from yofo_mlx.planning.sizes import Sizes
from yofo_mlx.planning.step_memory import CARE_PIECE, FLOAT, resident_bytes, weighted
from yofo_mlx.prompting import shared_prefix
from yofo_mlx.prompting.context import CHUNK
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.kinds import PlanEvent
from yofo_mlx.system.quantities import size
from yofo_mlx.tasks.registry import TaskEntry

CACHE_STEP = 256  # tokens by which mlx-lm's caches grow
USUAL_QUERY = 256  # tokens of a query, where the data are not known; chosen
# Arrays alive in a forward pass, as multiples of (B, L, width), of the scores and of the logits.
# Fitted to `benchmarks/forecast.py --validation --models 24 --seed 3 --most-work 1e9`; `--fit` does
# it again.
FORWARD = {"hidden": 6.0, "units": 1.9, "attention": 7.0}
SCORES, LOGITS = 1.05, 1.0


@dataclass(frozen=True)
class Asked:
    """The most that is asked of the model, in tokens."""

    prompt: int  # demonstrations
    queries: int  # after one prompt
    query: int  # with its answer
    answer: int
    labels: int = 0  # ranked after each query


@dataclass(frozen=True)
class EvaluationPlan:
    """Bytes that an evaluation needs at its worst moment, and the way that it is taken."""

    asked: Asked
    wanted: int  # tokens of the longest prompt, were there memory for it
    copies: int
    resident: int  # of the loaded model
    cache: int
    copied: int
    work: int

    @property
    def total(self) -> int:
        """All of it, above the loaded model."""
        return self.cache + self.copied + self.work

    @property
    def peak(self) -> int:
        """All of it."""
        return self.resident + self.total

    @property
    def needed(self) -> int:
        """The bytes that have to be there."""
        return int(self.resident + MARGIN * self.total)

    @property
    def is_shortened(self) -> bool:
        """Tell whether prompts are shorter than the recipe's, for want of memory."""
        return self.asked.prompt < self.wanted

    @property
    def max_tokens(self) -> int:
        """Longest prompt with its query, in tokens."""
        return self.asked.prompt + self.asked.query


def plan_validation(planner: Planner, asked: Asked) -> EvaluationPlan:
    """Return how a training run validates; prompts that do not fit beside it are shortened."""
    return _plan(planner, asked, resident_bytes(planner.shape))


def plan_evaluation(planner: Planner, asked: Asked) -> EvaluationPlan:
    """Return how the finished adapter is evaluated, without an optimizer beside it."""
    shape = planner.shape
    return _plan(planner, asked, shape.weight_bytes + FLOAT * shape.adapter_parameters)


def refused(plan: EvaluationPlan, limit: int) -> FitError | None:
    """Return why an evaluation is refused: it would leave out what it was asked to measure."""
    if not plan.is_shortened and plan.needed <= limit:
        return None
    fits = plan.asked.prompt > 0 and plan.needed <= limit
    return FitError(
        f"prompts of {plan.wanted + plan.asked.query} tokens do not fit {size(limit)} of memory",
        f"evaluation.max_tokens = {plan.max_tokens} would fit" if fits else SMALLER,
    )


def as_planned(recipe: Recipe, plan: EvaluationPlan | None) -> Recipe:
    """Return the recipe with the longest prompt that is planned for."""
    if plan is None or not plan.is_shortened:
        return recipe
    shorter = recipe.evaluation.model_copy(update={"max_tokens": plan.max_tokens})
    return recipe.model_copy(update={"evaluation": shorter})


def shortening(plan: EvaluationPlan) -> tuple[str, str] | None:
    """Return a warning, as message and hint, if a validation is shorter than the recipe's."""
    if not plan.is_shortened:
        return None
    return (
        f"validation prompts are at most {plan.max_tokens} tokens long:"
        f" {plan.wanted + plan.asked.query} do not fit beside the training",
        "numbers of shots beyond that are left out; a higher memory.limit_gb has room for them",
    )


def _plan(planner: Planner, asked: Asked, resident: int) -> EvaluationPlan:
    """Ask as many queries at once as fit; shorten the prompt where not even one does."""
    room = int((planner.limit - resident) / MARGIN)
    low, high = 0, asked.prompt
    while low < high:
        middle = (low + high + 1) // 2
        fits = _needs(planner, replace(asked, prompt=middle), 1)[3] <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    taken = replace(asked, prompt=low)
    cache = keys_values(planner.shape, _rounded(low))
    each = _own(planner.shape, taken) + _query_pass(planner, taken, 2)
    copies = max(1, min(asked.queries, (room - cache) // each))
    cache, copied, work, _ = _needs(planner, taken, copies)
    return EvaluationPlan(taken, asked.prompt, copies, resident, cache, copied, work)


def _needs(planner: Planner, asked: Asked, copies: int) -> tuple[int, int, int, int]:
    """Return the bytes of the cache, of its copies, of what is at work, and of all of it.

    The worse of two moments: the last piece of the prompt is read, or queries are asked. One query
    needs no copy if all layers only ever append: it is taken back (`Context.aside`).
    """
    shape = planner.shape
    cache = keys_values(shape, _rounded(asked.prompt))
    back = copies == 1 and shape.fitted
    copied = max(0, _copy(shape, asked) - cache) if back else copies * _own(shape, asked)
    work = copies * _query_pass(planner, asked, copies)
    piece = min(CHUNK, asked.prompt)
    reading = _forward(planner, piece, piece * asked.prompt, 1)
    if reading > copied + work:
        copied, work = 0, reading
    return cache, copied, work, cache + copied + work


def _copy(shape: Sizes, asked: Asked) -> int:
    """Return the bytes of a copy of the cache to which a query was added."""
    held = _rounded(asked.prompt)
    grows = asked.prompt + asked.query > held
    return keys_values(shape, asked.prompt + _rounded(asked.query) if grows else held)


def _own(shape: Sizes, asked: Asked) -> int:
    """Return the bytes of what one of several queries has for itself: a copy, if none is shared."""
    return keys_values(shape, asked.query) if shape.fitted else _copy(shape, asked)


def _query_pass(planner: Planner, asked: Asked, copies: int) -> int:
    """Return what one of so many queries needs; scores of a shared prompt are those of all."""
    shape = planner.shape
    far, near = asked.query * asked.prompt, asked.query * asked.query
    if copies == 1 or not shape.fitted:
        return _forward(planner, asked.query, far + near, asked.answer)
    scores = min(far, shared_prefix.SCORES // (copies * shape.heads)) + near
    work = _forward(planner, asked.query, 0, asked.answer)
    return work + int(SCORES * scores * shape.heads * FLOAT)


def keys_values(shape: Sizes, tokens: int) -> int:
    """Return the bytes that keys and values of so many tokens take in all layers."""
    return tokens * 2 * shape.kv_heads * shape.head_dim * shape.item * shape.layers


def _rounded(tokens: int) -> int:
    return -(-tokens // CACHE_STEP) * CACHE_STEP


def _forward(planner: Planner, tokens: int, scores: int, rows: int) -> int:
    """Return what one sequence needs in a forward pass, keys and values not counted."""
    shape = planner.shape
    work = tokens * shape.item * weighted(shape, FORWARD) + LOGITS * rows * shape.vocabulary * FLOAT
    if not planner.native or shape.own_attention:
        work += SCORES * scores * shape.heads * shape.item
    return int(work if shape.fitted else CARE_PIECE * work)


# ---------------------------------------------------------------------- what will be asked


def most_asked(
    recipe: Recipe, entries: Sequence[TaskEntry], tokenizer: Any, *, valid: bool = False
) -> Asked | None:
    """Return the most that an evaluation of these tasks asks, from the very prompts it will draw.

    None if nothing can be asked. `valid`: it is a validation.
    """
    drawn = (prompts_of(recipe, entry, tokenizer, valid=valid)[1] for entry in entries)
    found = [_asked_in(prompts) for prompts in drawn if prompts.queries]
    if not found:
        return None
    columns = zip(*((one.prompt, one.queries, one.query, one.answer) for one in found), strict=True)
    ranks = recipe.evaluation.choice and not valid
    labels = max(len(labels_of(entry.task)) for entry in entries) if ranks else 0
    return replace(Asked(*map(max, columns)), labels=labels)


def asked_at_most(recipe: Recipe) -> Asked:
    """Return bounds, where prompts cannot be drawn."""
    longest = recipe.longest_prompt
    query = min(USUAL_QUERY, longest)
    return Asked(longest - query, recipe.evaluation.queries, query, query // 2)


def _asked_in(prompts: Prompts) -> Asked:
    longest = max(prompts.prefix(draw)[1][-1] for draw in range(len(prompts.draws)))
    queries = [_tokens(query, prompts, prompts.max_tokens - longest) for query in prompts.queries]
    answers = [len(query.tokens.answer) for query in prompts.queries]
    return Asked(longest, len(queries), max(queries), max(answers))


def _tokens(query: Query, prompts: Prompts, room: int) -> int:
    """Return the tokens of a query with its answer, which may be as long as it is let."""
    expected = max(map(query.length, prompts.shots))
    if prompts.answer_limit is None:
        return expected
    generated = expected - len(query.tokens.answer) + prompts.answer_limit
    return max(expected, min(generated, room))


# ---------------------------------------------------------------------- in words and figures


def with_validation(told: PlanEvent, plan: EvaluationPlan) -> PlanEvent:
    """Return an event that tells a validation's forecast, too."""
    return replace(
        told,
        validation_gb=as_gb(plan.total),
        validation_tokens=plan.max_tokens,
        validation_at_once=plan.copies,
    )


def describe_evaluation(plan: EvaluationPlan) -> dict[str, Any]:
    """Return a forecast as a part of what `yofo plan --json` prints."""
    return {
        "prompt_tokens": plan.asked.prompt,
        "wanted_prompt_tokens": plan.wanted,
        "query_tokens": plan.asked.query,
        "queries": plan.asked.queries,
        "labels": plan.asked.labels,
        "at_once": plan.copies,
        "model_gb": as_gb(plan.resident),
        "cache_gb": as_gb(plan.cache),
        "copies_gb": as_gb(plan.copied),
        "work_gb": as_gb(plan.work),
        "peak_gb": as_gb(plan.peak),
    }
