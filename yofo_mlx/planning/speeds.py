"""How fast this machine trains: by earlier runs and probes here, else by what a chip did elsewhere.

What is known is one factor, how many times as fast as the model of work says (`work.py`): so steps
of one length tell of those of another, and one model of another that is not too different.
"""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

from yofo_mlx.errors import YofoError
from yofo_mlx.planning.planner import Planner, make_planner
from yofo_mlx.planning.work import Load, pass_work, passes_of, token_work, validation_work
from yofo_mlx.recipe.file import validate
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs.events import Event, backwards, figure, seconds_of
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import RunInfo
from yofo_mlx.runs.listing import list_runs
from yofo_mlx.system import paths
from yofo_mlx.system.environment import device, on_cpu

STEPS = 100  # the last of a run
MOST_RUNS = 200  # the newest
MOST_READ = 20  # of one model
OTHER_MODELS = 3
APART = 10.0  # times as much work a token: models further apart say nothing of each other
ASLEEP = 10.0  # times the usual: in so long a step the machine slept
# Measured on such machines, by others and with mlx-lm's trainer: Qwen3-8B of 4 bits, 97.8 tokens/s
# in episodes of 2048 tokens and 78.1 in those of 8192. `work.M1_MAX` has these very figures.
CHIPS = {"Apple M1 Max": (1.0, 9.6e-3)}  # factor, and that model's work a token
UNITS = 1  # of the model of work: factors of another one mean something else


@dataclass(frozen=True)
class Speed:
    """How many times as fast as the model of work, and where that was measured."""

    factor: float
    source: str  # a run's id, "probe", or a chip's name
    kind: str  # "probe", "run", "other model", "chip"
    model: str = ""
    tokens: int = 0  # of an episode, the mean
    token_work: float = 0.0  # of the model, in seconds of `work.py`
    validating: float | None = None  # the same factor of validations, where there were any
    t: float = 0.0  # Unix time
    dtype: str = "auto"  # that the model computed in

    def as_dict(self) -> dict[str, object]:
        """Return what is told of it."""
        return {"source": self.source, "kind": self.kind, "model": self.model, "of": self.tokens}


def known_speed(recipe: Recipe, planner: Planner, length: float) -> Speed | None:
    """Return what is known of a recipe's model, best of episodes as long as its own.

    `length`: of its episodes, the mean, in tokens.
    """

    def apart(speed: Speed) -> tuple[int, float]:
        return round(abs(math.log2(max(speed.tokens, 1) / length))), -speed.t

    probes, runs = list(_of_probes()), list(islice(_runs_here(), MOST_RUNS))
    asked = recipe.model, recipe.dtype
    own = [one for one in probes if (one.model, one.dtype) == asked]
    alike = [(run, info) for run, info in runs if _model(info) == asked]
    own += [one for run, info in alike[:MOST_READ] if (one := _of_run(run, info, planner))]
    if own:
        return min(own, key=apart)
    here = token_work(planner)
    others = [*(one for one in probes if one.token_work), *_of_other_models(runs)]
    others += [
        Speed(factor, f"an {name}", "chip", "Qwen3-8B, 4 bits", token_work=work)
        for name, (factor, work) in CHIPS.items()
        if name == device()
    ]
    near = [
        one
        for one in others
        if one.dtype == recipe.dtype and 1 / APART <= one.token_work / here <= APART
    ]
    best = min(near, key=lambda one: abs(math.log(one.token_work / here)), default=None)
    return best and replace(best, kind="chip" if best.kind == "chip" else "other model")


def keep_probe(speed: Speed) -> None:
    """Remember what a probe measured."""
    line = json.dumps({"units": UNITS, "device": device(), "cpu": on_cpu(), **asdict(speed)})
    with suppress(OSError):  # it is known for this once
        _kept().parent.mkdir(parents=True, exist_ok=True)
        with _kept().open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _kept() -> Path:
    return paths.home() / "speeds.jsonl"


def _of_probes() -> Iterator[Speed]:
    """Yield what probes measured on this very device."""
    try:
        lines = _kept().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    here = {"units": UNITS, "device": device(), "cpu": on_cpu()}
    for line in lines:
        with suppress(ValueError, TypeError, AttributeError):
            told = json.loads(line)
            if any(told.pop(key, None) != value for key, value in here.items()):
                continue
            speed = Speed(**told)
            if 0 < speed.factor < math.inf and speed.tokens >= 1 and speed.token_work > 0:
                yield speed


def _runs_here() -> Iterator[tuple[Run, RunInfo]]:
    """Yield the runs that were trained on this device, the newest first."""
    for run in list_runs():
        info = run.info()
        if info.recipe and info.device in (None, device()) and run.events_path.is_file():
            yield run, info


def _model(info: RunInfo) -> tuple[object, object]:
    """Return what was trained, and the type that it computed in, which rules its speed."""
    recipe = info.recipe or {}
    return recipe.get("model"), recipe.get("dtype", "auto")


def _of_other_models(runs: list[tuple[Run, RunInfo]]) -> Iterator[Speed]:
    """Yield the newest run of each of a few models, whose sizes are read from their headers."""
    newest = {str(_model(info)): (run, info) for run, info in reversed(runs)}
    for run, info in islice(reversed(newest.values()), OTHER_MODELS):
        with suppress(YofoError, ValueError, TypeError):
            recipe = validate(info.recipe or {}, run.run_id)
            if found := _of_run(run, info, make_planner(recipe)):
                yield found


def _of_run(run: Run, info: RunInfo, planner: Planner) -> Speed | None:
    """Return how fast a run was; its steps were taken by its own recipe and limit of memory."""
    try:
        recipe = validate(info.recipe or {}, run.run_id)
        limit = int((info.limit_gb or 0) * 1e9) or planner.limit
    except (YofoError, ValueError, TypeError, OverflowError):
        return None
    planner = replace(planner, memory=recipe.memory, limit=limit, largest_chunk=info.largest_chunk)
    steps = list(islice(backwards(run.events_path, {"step"}), STEPS))
    if len(steps) > 1 and steps[-1].get("step") == 1:
        del steps[-1]  # the first one compiles
    told = [(one, load) for one in steps if (load := _load(one, recipe))]
    if not told:
        return None
    pairs = [(seconds_of(step), passes * pass_work(planner, load)) for step, (passes, load) in told]
    episodes = sum(passes * load.episodes for _, (passes, load) in told)
    tokens = sum(passes * load.tokens for _, (passes, load) in told)
    shown = sum(shots + 1 for step, _ in told for shots in step["shots"])
    return Speed(
        factor=_factor(pairs),
        source=run.run_id,
        kind="run",
        model=recipe.model,
        dtype=recipe.dtype,
        tokens=round(tokens / episodes),
        token_work=token_work(planner),
        validating=_of_validations(run, info, recipe, planner, tokens / max(shown, 1)),
        t=steps[0]["t"],
    )


def _load(step: Event, recipe: Recipe) -> tuple[int, Load] | None:
    """Return the passes of a step and what each of them read, if it was timed."""
    tokens, shots = figure(step, "tokens"), step.get("shots")
    if not tokens or not isinstance(shots, list) or not shots or not seconds_of(step):
        return None
    if not all(isinstance(one, int) for one in shots):
        return None
    passes = min(passes_of(recipe.train, tokens), len(shots))
    targets = figure(step, "targets") or 0.0
    return passes, Load(tokens / passes, len(shots) / passes, targets / passes)


def _factor(pairs: list[tuple[float, float]]) -> float:
    """Return work done in a second, of pairs of seconds and work; what slept is left out."""
    usual = median(seconds / work for seconds, work in pairs)
    awake = [(seconds, work) for seconds, work in pairs if seconds / work < ASLEEP * usual]
    return sum(work for _, work in awake) / sum(seconds for seconds, _ in awake)


def _of_validations(
    run: Run, info: RunInfo, recipe: Recipe, planner: Planner, example: float
) -> float | None:
    """Return the factor of a run's validations: the time between a step's end and theirs."""
    kinds = {"step", "checkpoint", "eval", "plan"}
    events = list(islice(backwards(run.events_path, kinds), 2000))
    seconds: list[float] = [
        eval_["t"] - before["t"]
        for eval_, before in pairwise(events)
        if eval_["kind"] == "eval" and before["kind"] != "plan" and eval_["t"] > before["t"]
    ]
    plan = next((event for event in reversed(events) if event["kind"] == "plan"), None)
    tokens = figure(plan, "validation_tokens")
    asked = [one for one in (info.tasks or {}).values() if one.role == "train"]
    tasks = min(recipe.evaluation.valid_tasks, sum(bool(one.valid or one.test) for one in asked))
    if not seconds or not tokens or not tasks:
        return None
    seconds = [one for one in seconds if one < ASLEEP * median(seconds)]
    work = validation_work(planner, recipe.evaluation, tasks, int(tokens), example)
    return float(work * len(seconds) / sum(seconds))
