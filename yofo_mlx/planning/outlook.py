"""Everything there is to say about a run before it begins, as facts."""

from dataclasses import asdict, dataclass
from typing import Any

from yofo_mlx.planning.evaluation import EvaluationPlan, describe_evaluation
from yofo_mlx.planning.hours import UNKNOWN, Hours
from yofo_mlx.planning.planner import Planner, as_gb, describe_parts, describe_plan
from yofo_mlx.planning.probe import Measurement
from yofo_mlx.planning.step_memory import Forecast, resident_bytes
from yofo_mlx.planning.volume import Volume
from yofo_mlx.planning.workload import PROCESS_BYTES, DataSize
from yofo_mlx.recipe.schema import Recipe


@dataclass(frozen=True)
class Asking:
    """How a run validates, and how its held-out tasks are evaluated; None: nothing is asked."""

    validation: EvaluationPlan | None
    evaluation: EvaluationPlan | None


@dataclass(frozen=True)
class Outlook:
    """Everything there is to say about a run before it begins."""

    recipe: Recipe
    planner: Planner
    way: Forecast  # of the longest step
    volume: Volume
    measured: Measurement | None
    asking: Asking
    data: DataSize | None  # None where the data cannot be had
    hours: Hours | None = None  # None where nothing is known of this machine's speed

    @property
    def fits(self) -> bool:
        """Tell whether the longest step fits."""
        return self.planner.fits(self.way)

    @property
    def longest(self) -> int:
        """Longest episode that fits, in tokens; 0 if none does."""
        return self.planner.longest(self.recipe)


def as_dict(outlook: Outlook) -> dict[str, Any]:
    """Return what `yofo plan --json` prints."""
    recipe, planner, way = outlook.recipe, outlook.planner, outlook.way
    shape = planner.shape
    return {
        "model": recipe.model,
        "architecture": shape.architecture,
        "layers": shape.layers,
        "parameters": shape.parameters,
        "trainable_parameters": shape.adapter_parameters,
        "init_adapter": recipe.init_adapter,
        "context": shape.context,
        "max_tokens": recipe.episodes.max_tokens,
        "longest_max_tokens": outlook.longest,
        "fits": outlook.fits,
        "method": "chunked" if way.dials else "plain",
        **describe_plan(planner, way).as_dict(),
        "limit_source": planner.source,
        "peak_gb": as_gb(resident_bytes(shape) + way.total),
        "needed_gb": as_gb(planner.needed(way)),
        **describe_parts(shape, way, recipe.episodes.max_tokens),
        "validation": _evaluation_dict(outlook.asking.validation),
        "evaluation": _evaluation_dict(outlook.asking.evaluation),
        "data": outlook.data and outlook.data.as_dict(),
        "process_gb": as_gb(PROCESS_BYTES),
        "kept_gb": as_gb(kept_bytes(outlook)),
        "resident_gb": as_gb(most_bytes(outlook)),
        **asdict(outlook.volume),
        **(outlook.hours.as_dict() if outlook.hours else UNKNOWN),
        "probe": _probe_dict(outlook.measured),
    }


def _evaluation_dict(plan: EvaluationPlan | None) -> dict[str, Any] | None:
    return describe_evaluation(plan) if plan else None


def kept_bytes(outlook: Outlook) -> int:
    """Return how much freed memory MLX may keep for reuse."""
    validation = outlook.asking.validation
    most = max(outlook.way.total, validation.total if validation else 0)
    return min(outlook.planner.cache_bytes(outlook.way), most)


def most_bytes(outlook: Outlook) -> int:
    """Return what the process of a training run takes in all, at its worst moment."""
    step = resident_bytes(outlook.planner.shape) + outlook.way.total
    validation = outlook.asking.validation
    data = outlook.data.nbytes if outlook.data else 0
    most = max(step, validation.peak if validation else 0)
    return PROCESS_BYTES + data + most + kept_bytes(outlook)


def _probe_dict(measured: Measurement | None) -> dict[str, Any] | None:
    if not measured:
        return None
    return {
        "batches": measured.batches,
        "tokens": measured.tokens,
        "tokens_per_s": round(measured.tokens / measured.seconds, 1),
        "peak_gb": as_gb(measured.peak),
        "forecast_gb": as_gb(measured.forecast),
    }
