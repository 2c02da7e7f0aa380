"""More steps for a run: its length is the one setting that may change once it has begun."""

import shlex
import time
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Literal

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.file import read_toml
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.runs import listing, lock
from yofo_mlx.runs.events import backwards, figure, last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.runs.info import Extension
from yofo_mlx.runs.kinds import ExtendedEvent
from yofo_mlx.runs.recipe import resolve
from yofo_mlx.runs.trained import rewrite, trained
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.talk import print_path, say, say_next
from yofo_mlx.training.schedule import learning_rate

if TYPE_CHECKING:
    from yofo_mlx.training.checkpoints import TrainerState

# A new run of these cannot begin with the old one's adapter.
_OF_THE_ADAPTER = frozenset({"lora", "model", "revision", "trust_remote_code", "init_adapter"})


def lengthen(run: Run, overrides: Sequence[str]) -> Extension:
    """Give a run that nobody trains another length, in run.json and recipe.toml.

    Any other key is refused, and a length that is done already.
    """
    with_length = _resolved(run, overrides)
    trained(run)  # where its model is gone nothing is written
    keys = [override.partition("=")[0].strip() for override in overrides]
    if foreign := [one for one, key in zip(overrides, keys, strict=True) if not _is_length(key)]:
        raise _refusal(run, foreign)
    with lock.locked(run.path):
        change = _change(run, _resolved(run), with_length)
        rewrite(run, with_length, extended=[*run.info().extended, change])
    return change


def length_of(recipe: Recipe) -> tuple[Literal["steps", "tokens"], int]:
    """Return what a recipe's length is measured in, and how much of it there is."""
    steps, tokens = recipe.train.steps, recipe.train.tokens
    return ("steps", steps) if steps is not None else ("tokens", tokens or 0)


def more(run: Run, *, at_end: bool = True) -> str:
    """Return the command that lets a run go on: to its planned length, from there to its double."""
    unit, planned = length_of(_resolved(run))
    return (
        f"yofo resume {listing.word(run)} --set train.{unit}={2 * planned if at_end else planned}"
    )


def is_finished(run: Run) -> bool:
    """Tell whether nothing is left to do, and say so, with the way to do more."""
    last, extended = last_event(run.events_path), run.info().extended
    if last is None or last["kind"] != "finished":
        return False
    step = int(figure(last, "step") or 0)
    if extended and step <= extended[-1].step:
        return False
    early = (figure(next(backwards(run.events_path, ("step",)), None), "share") or 1.0) < 1.0
    why = ": its validations got no better" if early else ""
    say(f"{run.run_id} is finished, after {plural(step, 'step')}{why}")
    print_path(run.path)
    say_next(more(run, at_end=not early).removeprefix("yofo "))
    return True


def _resolved(run: Run, overrides: Sequence[str] = ()) -> Recipe:
    data = run.info().recipe
    data = read_toml(run.recipe_path) if data is None else deepcopy(data)
    return resolve(data, "--set" if overrides else str(run.path), None, overrides)


def _is_length(key: str) -> bool:
    return key in ("train.steps", "train.tokens")


def _refusal(run: Run, foreign: Sequence[str]) -> RecipeError:
    """Say why other keys stay, and the command of a new run that has them."""
    keys = [override.partition("=")[0].strip() for override in foreign]
    given = [*foreign]
    fresh = any(key.partition(".")[0] in _OF_THE_ADAPTER for key in keys)
    if not fresh and run.adapter_path.is_dir():
        given = [f"init_adapter={shlex.split(listing.word(run))[0]}", *given]
    command = shlex.join(["yofo", "train", str(run.recipe_path)])
    options = "".join(f" --set {shlex.quote(one)}" for one in given)
    return RecipeError(
        f"{', '.join(keys)} cannot change in run {run.run_id}: what goes on keeps its recipe,"
        " but for its length (train.steps or train.tokens)",
        f"a new run can have it: {command}{options}",
    )


def _change(run: Run, before: Recipe, after: Recipe) -> Extension:
    """Return the change of a run's length, with what it does to the learning rate."""
    (unit, planned), (new_unit, length) = length_of(before), length_of(after)
    if unit != new_unit:
        raise RecipeError(
            f"the length of run {run.run_id} is counted in {unit}, not in {new_unit}",
            f"go on with: {more(run)}",
        )
    from yofo_mlx.training.checkpoints import newest_state  # MLX: what is quickly told was told

    state = newest_state(run)
    done, one = state.step, 1.0  # `one`: the step to come, in the unit of the length
    if unit == "tokens":
        done, one = state.tokens, state.tokens / max(state.step, 1)
    if length <= done:
        raise RecipeError(
            f"train.{unit} = {length}: run {run.run_id} has done {done} {unit} already",
            f"give it more than that: {more(run, at_end=done >= planned)}",
        )
    return Extension(
        date=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        step=state.step,
        unit=unit,
        before=planned,
        after=length,
        lr_before=_last_rate(run, state.step),
        lr=learning_rate(after.optimizer, min(1.0, (done + one) / length)),
    )


def _last_rate(run: Run, step: int) -> float | None:
    """Return the learning rate of a step that was made."""
    for event in backwards(run.events_path, ("step",)):
        if figure(event, "step") == step:
            return figure(event, "lr")
    return None


def as_event(change: Extension, share: float | None = None) -> ExtendedEvent:
    """Return a change of the length as an event."""
    return ExtendedEvent(
        step=change.step,
        steps=change.after if change.unit == "steps" else None,
        tokens=change.after if change.unit == "tokens" else None,
        before=change.before,
        lr_before=change.lr_before,
        lr=change.lr,
        share=share,
    )


def was_end(change: Extension, state: "TrainerState") -> bool:
    """Tell whether a run that is at this point had come to its end here before it was extended."""
    done = state.step if change.unit == "steps" else state.tokens
    return change.step == state.step and done >= change.before
