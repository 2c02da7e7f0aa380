"""The arms of a study: ways to train the same model on the same tasks, each a few keys of a recipe.

One table. What is an arm's own, such as renamed labels, is first taken out of the recipe: it would
be in all of them.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yofo_mlx.errors import RecipeError
from yofo_mlx.recipe.schema import NOT_FIXED, Recipe

OF_ARMS = ("rename_labels", "fixed_shots")  # keys of [episodes]
FEW = 2  # demonstrations of few-shot tuning: n = 2 in the captions of 2506.11103
DEDICATED_SHOTS = 4  # demonstrations in each prompt of a dedicated adapter
RENAMED = 0.5  # share of episodes with arbitrary labels, where the recipe does not say


@dataclass(frozen=True)
class Arm:
    """What is trained, and what after."""

    name: str
    title: str
    overrides: tuple[str, ...] = ()
    without: tuple[str, ...] = ()  # keys of [episodes], and tasks' own, that are taken back
    is_main: bool = False  # has several seeds, and its learning rate chosen
    trains: bool = True
    rows: int | None = None  # of a dedicated adapter's one task; 0: all
    rehearsed: bool = False  # answers of `yofo rehearse` in place of the gold ones
    source: str = ""

    @property
    def is_dedicated(self) -> bool:
        """Tell whether each held-out task has an adapter of its own."""
        return self.rows is not None

    def says(self, key: str) -> bool:
        """Tell whether it gives a key of the recipe itself, or takes it back."""
        section, _, name = key.partition(".")
        own = {one.partition("=")[0] for one in self.overrides}
        return key in own or (section == "episodes" and name in {*OF_ARMS, *self.without})


_ALL, _LAST = "objective.targets=all", "objective.targets=last"


def _shots(count: int) -> tuple[str, str]:
    return f"episodes.min_shots={count}", f"episodes.max_shots={count}"


# In the order of their importance, which is the order in which they are made.
ARMS = {
    arm.name: arm
    for arm in (
        Arm("base", "the model as it is", trains=False),
        Arm("many-all", "many-shot, all answers", (_ALL,), is_main=True, source="2506.11103"),
        Arm("many-last", "many-shot, last answer", (_LAST,), is_main=True, source="2506.11103"),
        Arm("zero-shot", "zero-shot tuning", (*_shots(0), _ALL), is_main=True, source="2506.11103"),
        Arm(
            "many-all-renamed",
            "many-shot, all answers, labels renamed",
            (_ALL, f"episodes.rename_labels={RENAMED}"),
            is_main=True,
            source="2305.08298",
        ),
        Arm("few-last", "few-shot, last answer", (*_shots(FEW), _LAST), source="2506.11103"),
        Arm("few-all", "few-shot, all answers", (*_shots(FEW), _ALL), source="2506.11103"),
        Arm(
            "fticl",
            "a fixed prefix of 2, last answer",
            (f"episodes.fixed_shots={FEW}", _LAST),
            without=NOT_FIXED,
            source="2403.09162",
        ),
        *(
            Arm(
                f"dedicated-{rows or 'all'}",
                f"an adapter for each task, on {rows or 'all'} of its rows",
                (*_shots(DEDICATED_SHOTS), _LAST),
                rows=rows,
                source="2512.19879",
            )
            for rows in (64, 0)
        ),
        Arm(
            "many-all-values",
            "many-shot, all answers, values alone",
            (_ALL, 'lora.keys=["self_attn.v_proj"]'),
            source="2602.23197",
        ),
        Arm(
            "s3ft",
            "zero-shot tuning on the model's own answers",
            (*_shots(0), _ALL),
            rehearsed=True,
            source="2502.08130",
        ),
        Arm(
            "many-all-s3ft",
            "many-shot, all answers, the model's own",
            (_ALL,),
            rehearsed=True,
            source="2506.11103, 2502.08130",
        ),
    )
}
REFERENCE = "many-all"  # what the others are compared with


def chosen(names: Sequence[str] | None) -> list[Arm]:
    """Return the arms of these names, all of them without any, in the order of importance."""
    if unknown := [name for name in names or () if name not in ARMS]:
        close = difflib.get_close_matches(unknown[0], ARMS, n=1)
        guess = f"did you mean {close[0]}? " if close else ""
        raise RecipeError(f"there is no arm '{unknown[0]}'", f"{guess}there are: {', '.join(ARMS)}")
    return [arm for name, arm in ARMS.items() if names is None or name in names]


def overrides_of(arm: Arm, recipe: Recipe) -> list[str]:
    """Return an arm's keys on a recipe, which may say itself how many labels are renamed."""
    share = recipe.episodes.rename_labels or RENAMED
    return [
        one.replace(f"rename_labels={RENAMED}", f"rename_labels={share}") for one in arm.overrides
    ]


def prepared(arm: Arm, data: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's data without what its arm, or another one, says itself."""
    gone = {*OF_ARMS, *arm.without}
    episodes = {key: value for key, value in data["episodes"].items() if key not in gone}
    tasks = [{k: v for k, v in task.items() if k not in arm.without} for task in data["tasks"]]
    return data | {"episodes": episodes, "tasks": tasks}
