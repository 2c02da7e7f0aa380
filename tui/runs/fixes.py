"""What to change in a run that went wrong, as far as that can be told from how it ended."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from yofo_mlx.runs.diagnosis import KILLED, MEMORY
from yofo_mlx.runs.events import figure

from .view import RunView

LESS: Final = 0.75  # of the memory that was planned for
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
    cause = view.death.cause if view.death else ""
    limit = figure(view.plan, "limit_gb")
    if cause in (MEMORY, KILLED) and limit:
        lower = float(f"{limit * LESS:.2g}")
        why = f"It was planned for {limit:.3g} GB, which were not there."
        return Fix(why, {"memory.limit_gb": lower})
    if view.is_diverged or "nan" in said.lower().split():
        highest = max((rate for _, rate in view.rates), default=None)
        if highest:
            why = f"Its loss grew at a learning rate of {highest:g}."
            return Fix(why, {"optimizer.learning_rate": float(f"{highest * SLOWER:.1g}")})
    return None
