"""`yofo plan`: what a run will need, before anything heavy."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.commands.display import duration
from yofo_mlx.errors import DataError, ExitCode, YofoError
from yofo_mlx.events import finite
from yofo_mlx.machine import memory_limit
from yofo_mlx.models import is_out_of_reach, load_base, load_tokenizer, model_config, model_path
from yofo_mlx.plan import (
    SMALLER,
    Forecast,
    Planner,
    as_gb,
    beyond_context,
    describe_parts,
    describe_plan,
    make_planner,
    resident_bytes,
)
from yofo_mlx.probe import Measurement, probe
from yofo_mlx.recipe import Recipe, TaskSource
from yofo_mlx.recipe_file import find_recipe, load_recipe
from yofo_mlx.tasks import locate
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.text import printable, size
from yofo_mlx.volume import Draw, Volume, draw, volume_bounds, volume_of
from yofo_mlx.workload import Workload, make_workload

Row = tuple[str, str, str]  # label, value, remark; without a value a line of its own


@dataclass(frozen=True)
class Outlook:
    """Everything there is to say about a run before it begins."""

    recipe: Recipe
    planner: Planner
    way: Forecast  # of the longest step
    volume: Volume
    measured: Measurement | None

    @property
    def fits(self) -> bool:
        """Tell whether the longest step fits."""
        return self.planner.fits(self.way)

    @property
    def longest(self) -> int:
        """Longest episode that fits, in tokens; 0 if none does."""
        return self.planner.longest(self.recipe)


def plan(recipe_name: str, overrides: Sequence[str], *, probed: bool, as_json: bool) -> ExitCode:
    """Print the forecast of a recipe; what cannot fit ends with an exit code of its own.

    Sizes come first: without them there is nothing to say. `probed`: also time a few steps.
    """
    recipe = load_recipe(find_recipe(recipe_name), overrides)
    model = model_path(recipe.model, recipe.revision, weights=False)
    planner = make_planner(recipe, model)
    _warn_of_sizes(recipe, planner)
    way = planner.longest_step(recipe)
    workload, draws = _draws(recipe, model, recipe_name, needed=probed)
    measured = None
    if probed and planner.fits(way):
        assert workload is not None  # what is needed is there, or was an error
        measured = probe(recipe, _load(recipe), workload, planner, draws)
    elif probed:
        _warn("not probed, since it does not fit")
    volume = volume_of(recipe, draws) if draws else volume_bounds(recipe)
    outlook = Outlook(recipe, planner, way, volume, measured)
    if as_json:
        print(json.dumps(finite(as_dict(outlook)), allow_nan=False))
    else:
        print(table(outlook))
    return ExitCode.OK if outlook.fits else ExitCode.WONT_FIT


def _load(recipe: Recipe) -> Any:
    return load_base(
        recipe.model, revision=recipe.revision, trust_remote_code=recipe.trust_remote_code
    )


def _warn(message: str, hint: str = "") -> None:
    print(f"warning: {printable(message)}", file=sys.stderr)
    if hint:
        print(f"  {printable(hint)}", file=sys.stderr)


def _warn_of_sizes(recipe: Recipe, planner: Planner) -> None:
    if warning := beyond_context(recipe.episodes.max_tokens, planner.shape.context):
        _warn(*warning)
    if not planner.shape.adapter_parameters:
        _warn(
            "no tensor of the model is of a layer that would get an adapter",
            "check lora.keys; what the adapter needs is not counted",
        )


# ---------------------------------------------------------------------- what the run will draw


def _draws(
    recipe: Recipe, model: Path, named: str, *, needed: bool
) -> tuple[Workload | None, list[Draw]]:
    """Return a recipe's workload and batches; none, with a warning, if data cannot be had.

    `needed`: then that is an error. `named`: the recipe's file, for messages.
    """
    try:
        entries = _entries(recipe, named)
        tokenizer = load_tokenizer(
            model, model_config(model), trust_remote_code=recipe.trust_remote_code
        )
    except DataError:
        raise
    except YofoError as error:
        if needed:
            raise
        _warn(f"tokens are bounds only: {error.message}", error.hint)
        return None, []
    workload = make_workload(recipe, entries, tokenizer)
    for warning in workload.warnings(recipe):
        _warn(*warning)
    return workload, draw(recipe, workload)


def _entries(recipe: Recipe, named: str) -> list[TaskEntry]:
    """Read the data; YofoError if only the hub is out of reach, DataError if anything is wrong."""
    base = Path.cwd()
    try:
        return load_tasks(recipe.tasks, recipe.seed, base, named)
    except DataError as error:
        away = [source for source in recipe.tasks if _is_away(source, base)]
        if not away:
            raise
        here = [source for source in recipe.tasks if source not in away]
        load_tasks(here, recipe.seed, base, named)
        more = f" and {len(away) - 1} more" if len(away) > 1 else ""
        raise YofoError(
            f"data set {away[0].source}{more} not on this machine and the hub cannot be reached",
            "check the network (and HF_HUB_OFFLINE)",
        ) from error


def _is_away(source: TaskSource, base: Path) -> bool:
    if source.source.startswith("tiny:") or locate.is_pattern(source.source):
        return False
    try:
        locate.pieces(source, base)
    except DataError as error:
        return is_out_of_reach(error.__cause__)
    return False


# ---------------------------------------------------------------------- what is printed


def as_dict(outlook: Outlook) -> dict[str, Any]:
    """Return what `yofo plan --json` prints."""
    recipe, planner, way = outlook.recipe, outlook.planner, outlook.way
    shape = planner.shape
    per_step = _seconds_per_step(outlook)
    return {
        "model": recipe.model,
        "architecture": shape.architecture,
        "layers": shape.layers,
        "parameters": shape.parameters,
        "trainable_parameters": shape.adapter_parameters,
        "context": shape.context,
        "max_tokens": recipe.episodes.max_tokens,
        "longest_max_tokens": outlook.longest,
        "fits": outlook.fits,
        "method": "chunked" if way.dials else "plain",
        **describe_plan(planner, way),
        "limit_source": _limit_source(recipe),
        "peak_gb": as_gb(resident_bytes(shape) + way.total),
        "needed_gb": as_gb(planner.needed(way)),
        **describe_parts(shape, way, recipe.episodes.max_tokens),
        **asdict(outlook.volume),
        "seconds_per_step": per_step,
        "seconds_total": per_step and round(per_step * outlook.volume.steps, 1),
        "probe": _probe_dict(outlook.measured),
    }


def _limit_source(recipe: Recipe) -> str:
    return memory_limit(recipe.memory.limit_gb).source


def _seconds_per_step(outlook: Outlook) -> float | None:
    if not outlook.measured:
        return None
    passes = outlook.recipe.train.grad_accumulation_steps
    return round(outlook.measured.seconds_per_batch * passes, 4)


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


def table(outlook: Outlook) -> str:
    """Return the forecast as aligned lines, the verdict last."""
    rows = [*_model_rows(outlook), *_memory_rows(outlook), *_run_rows(outlook)]
    labels = max(len(label) for label, value, _ in rows if value)
    values = max(len(value) for _, value, _ in rows)
    lines = [
        f"{label:<{labels}}  {value:>{values}}  {note}".rstrip() if value else label
        for label, value, note in rows
    ]
    return "\n".join([*lines, "", _verdict(outlook)])


def _model_rows(outlook: Outlook) -> Iterator[Row]:
    recipe, shape = outlook.recipe, outlook.planner.shape
    context = f", trained to {shape.context:,} tokens" if shape.context else ""
    kind = f"{printable(shape.architecture)}, {shape.layers} layers{context}"
    yield "model", _short(shape.parameters), f"{printable(recipe.model)}: {kind}"
    lora = recipe.lora
    words = f"{lora.fine_tune_type} of rank {lora.rank} on {shape.trained} layers"
    yield "adapter", _short(shape.adapter_parameters), words
    cache = describe_parts(shape, outlook.way, recipe.episodes.max_tokens)["kv_cache_gb"]
    words = f"keys and values of {recipe.episodes.max_tokens:,} tokens, when prompting"
    yield "prompt cache", size(1e9 * cache), words


def _memory_rows(outlook: Outlook) -> Iterator[Row]:
    recipe, way, planner = outlook.recipe, outlook.way, outlook.planner
    parts = describe_parts(planner.shape, way, recipe.episodes.max_tokens)

    def row(label: str, *names: str, note: str = "") -> Row:
        return label, size(1e9 * sum(parts[f"{name}_gb"] for name in names)), note

    yield f"\nlongest step: {_way_words(outlook)}", "", ""
    yield row("weights", "weights")
    yield row("adapter, gradients", "adapter", "gradients")
    yield row("optimizer", "optimizer", note="AdamW's two moments")
    if way.dials:
        kept = "inputs of layers, between forward and backward"
        yield row("keys, values", "keys_values", note="of the layer at work, with gradients")
        yield row("activations, kept", "activations_kept", note=kept)
        yield row("activations, at work", "activations_work", note="of one layer for one chunk")
    else:
        yield row("activations, kept", "activations_kept", note="of all layers")
        yield row("activations, at work", "activations_work", note="of one layer, and the loss")
    peak = resident_bytes(planner.shape) + way.total
    yield "peak", size(peak), ""
    yield "with a margin", size(planner.needed(way)), "in case the forecast is too low"
    yield "limit", size(planner.limit), _limit_source(recipe)


def _way_words(outlook: Outlook) -> str:
    way, planner, recipe = outlook.way, outlook.planner, outlook.recipe
    count, tokens = recipe.train.batch_size, recipe.episodes.max_tokens
    batch = f"{count} episodes of {tokens:,} tokens" if count > 1 else f"{tokens:,} tokens"
    if not way.dials:
        return f"{batch}, whole episodes at once"
    attention = "MLX's own attention" if planner.native else "yofo's attention"
    return f"{batch} in chunks of {way.dials.chunk:,}, stash {way.dials.stash}, {attention}"


def _run_rows(outlook: Outlook) -> Iterator[Row]:
    volume = outlook.volume
    yield f"\nrun: {_COUNTED[volume.counted]}", "", ""
    if volume.counted == "bounds":
        yield "steps", f"{volume.steps:,}", "at least" if outlook.recipe.train.tokens else ""
        yield "tokens", f"{volume.tokens:,}", f"at most {volume.max_tokens_per_step:,} a step"
    else:
        yield "steps", f"{volume.steps:,}", ""
        mean, most = volume.tokens_per_step, volume.max_tokens_per_step
        note = f"{mean:,.0f} a step, at most {most:,}; longest episode {volume.longest_episode:,}"
        yield "tokens", f"{volume.tokens:,}", note
        note = f"{volume.targets_per_step:,.0f} a step; {volume.shots:,.1f} shots an episode"
        yield "targets", f"{volume.targets:,}", note
    yield from _time_rows(outlook)


_COUNTED = {
    "drawn": "drawn as it will be",
    "sampled": "about, from its first episodes",
    "bounds": "bounds, were every episode as long as it may be",
}


def _time_rows(outlook: Outlook) -> Iterator[Row]:
    measured, per_step = outlook.measured, _seconds_per_step(outlook)
    if not measured or per_step is None:
        yield "time", "?", "--probe measures it"
        return
    rate = measured.tokens / measured.seconds
    yield "time", duration(per_step * outlook.volume.steps), "without validation"
    yield "a step", f"{per_step:.3g} s", f"{rate:,.0f} tokens/s in {measured.batches} batches"
    yield "peak in them", size(measured.peak), f"forecast for them {size(measured.forecast)}"


def _short(number: int) -> str:
    """Return a count of parameters as 7.25 B, 41.9 M or 12.3 k."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g} {letter}"
    return str(number)


def _verdict(outlook: Outlook) -> str:
    longest = outlook.longest
    if outlook.fits:
        return f"fits; up to episodes.max_tokens = {longest} would"
    remedy = f"episodes.max_tokens = {longest} would fit" if longest else SMALLER
    return f"does not fit; {remedy}"
