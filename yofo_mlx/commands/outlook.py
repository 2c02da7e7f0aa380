"""What `yofo plan` prints: everything there is to say about a run before it begins."""

from collections.abc import Iterator

from yofo_mlx.episodes.passes import most_together
from yofo_mlx.planning.outlook import (
    Outlook,
    kept_bytes,
    most_bytes,
)
from yofo_mlx.planning.planner import describe_parts, packed_row, remedy
from yofo_mlx.planning.step_memory import resident_bytes
from yofo_mlx.planning.workload import PROCESS_BYTES
from yofo_mlx.system.quantities import duration, plural, size
from yofo_mlx.system.text import printable

Row = tuple[str, str, str]  # label, value, remark; without a value a line of its own


def table(outlook: Outlook) -> str:
    """Return the forecast as aligned lines, the verdict last."""
    rows = [*_model_rows(outlook), *_memory_rows(outlook), *_asking_rows(outlook)]
    rows += [*_process_rows(outlook), *_run_rows(outlook)]
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
    kind = f"{printable(shape.architecture)}, {plural(shape.layers, 'layer')}{context}"
    yield "model", _short(shape.parameters), f"{printable(recipe.model)}: {kind}"
    lora = recipe.lora
    rank = f" of rank {lora.rank}" if lora.has_rank else ""
    words = f"{lora.fine_tune_type}{rank} on {plural(shape.trained, 'layer')}"
    words += f", begun with {printable(recipe.init_adapter)}" if recipe.init_adapter else ""
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
    yield "limit", size(planner.limit), planner.source


def _asking_rows(outlook: Outlook) -> Iterator[Row]:
    asking = outlook.asking
    for label, plan in (("validation", asking.validation), ("evaluation", asking.evaluation)):
        if plan is None:
            continue
        asked = plan.asked
        queries = f"{plan.copies} of {asked.queries} queries at once"
        queries += f", up to {asked.labels:,} labels after each" if asked.labels else ""
        yield f"\n{label}: {asked.prompt:,} tokens of demonstrations, {queries}", "", ""
        yield "model", size(plan.resident), ""
        yield "keys, values", size(plan.cache), "of all layers"
        if plan.copied:
            note = "of each query, or copies for them" if plan.copies > 1 else "for the query"
            yield "more of them", size(plan.copied), note
        moment = "while queries are asked" if plan.copied else "while demonstrations are read"
        yield "activations", size(plan.work), moment
        yield "peak", size(plan.peak), ""
        if plan.needed > outlook.planner.limit or plan.is_shortened:
            yield "asked for", f"{plan.wanted:,}", "tokens of demonstrations, which do not fit"


def _process_rows(outlook: Outlook) -> Iterator[Row]:
    yield "\nthe process of the run", "", ""
    yield "Python, libraries", size(PROCESS_BYTES), "about"
    if data := outlook.data:
        note = f"{data.examples:,} examples: texts {size(data.texts)}, tokens {size(data.tokens)}"
        yield "data", size(data.nbytes), note
    yield "freed, kept", size(kept_bytes(outlook)), "by MLX, to use again; at most"
    yield "in all", size(most_bytes(outlook)), "with the longest step or validation"


def _way_words(outlook: Outlook) -> str:
    way, planner, recipe = outlook.way, outlook.planner, outlook.recipe
    count, tokens = recipe.train.batch_size, recipe.episodes.max_tokens
    batch = f"{count} episodes of {tokens:,} tokens" if count > 1 else f"{tokens:,} tokens"
    if recipe.train.packed:
        batch += f", or {packed_row(recipe, tokens):,} of several in a row"
    elif together := most_together(recipe.train):
        batch += f", or {together:,} in shorter rows"
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
    if not (hours := outlook.hours):
        yield "time", "unknown", "--probe measures it; so does a run of this model"
        return
    validating = f"{duration(hours.validating)} of it to validate"
    note = validating if hours.validating else "without validation"
    most = [*["at most"] * hours.is_bound, *["more than a day"] * hours.is_long]
    yield "time", duration(hours.total), ", ".join([*most, note])
    rate = f"{hours.tokens_per_s:,.0f} tokens/s, {printable(hours.source)}"
    yield "a step", f"{hours.seconds_per_step:.3g} s", rate
    if measured := outlook.measured:
        words = f"forecast for its {measured.batches} batches {size(measured.forecast)}"
        yield "peak in it", size(measured.peak), words


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
    return f"does not fit; {remedy(outlook.recipe, longest)}"
