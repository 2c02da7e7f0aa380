"""What to change in a run that went wrong, as far as that can be told from how it ended."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from yofo_mlx.runs.diagnosis import KILLED, MEMORY
from yofo_mlx.runs.events import figure

from .view import RunView

LIKELY: Final = 0.5  # of the limit: a run that was to take less is seldom killed for its memory
SLOWER: Final = 0.3  # of the learning rate that diverged
_FITTING = re.compile(r"(episodes|evaluation)\.max_tokens = (\d+) would fit")


@dataclass(frozen=True)
class Fix:
    """Why a run is started anew, and with what changes."""

    why: str
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Return the changes as one reads them."""
        return ", ".join(f"{key} = {value:g}" for key, value in self.overrides.items())


def fix_of(view: RunView) -> Fix | None:
    """Return the change that would have helped, None where none is known."""
    end = view.end or {}
    said = f"{end.get('message', '')} {end.get('hint', '')}"
    if found := _FITTING.search(said):
        tokens = int(found[2])
        why = f"{tokens:,} tokens would have fitted."
        return Fix(why, {f"{found[1]}.max_tokens": tokens})
    if view.death and (fix := _smaller(view, view.death.cause)):
        return fix
    if view.is_diverged or "nan" in said.lower().split():
        highest = max((rate for _, rate in view.rates), default=None)
        if highest:
            why = f"Its loss grew at a learning rate of {highest:g}."
            return Fix(why, {"optimizer.learning_rate": float(f"{highest * SLOWER:.1g}")})
    return None


def _smaller(view: RunView, cause: str) -> Fix | None:
    """Return the limit of memory that a step of the run would have fitted in smaller pieces."""
    limit, model, step = (figure(view.plan, f"{key}_gb") for key in ("limit", "model", "step"))
    if cause not in (MEMORY, KILLED) or limit is None or model is None or step is None:
        return None
    if cause == KILLED and model + step < LIKELY * limit:
        return None
    from yofo_mlx.runs.supervisor import LESS  # late: it starts processes, which few runs need

    why = f"It was to take {model + step:.3g} GB, which were not there."
    return Fix(why, {"memory.limit_gb": float(f"{model + LESS * step:.3g}")})
