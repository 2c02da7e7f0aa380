"""A look at memory between the pieces of a run: it leaves before it takes what is not there.

The system ends without a word what takes too much. So a run that finds less free than its forecast
still asks for saves and leaves, with the reason; so does one that holds more than its limit.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import mlx.core as mx

from yofo_mlx.errors import MemoryShort
from yofo_mlx.planning.planner import Planner
from yofo_mlx.planning.step_memory import resident_bytes
from yofo_mlx.recipe.schema import Recipe
from yofo_mlx.system.footprint import footprint
from yofo_mlx.system.memory import LEAST_RESERVE, free_for_arrays, limit_now, reserve
from yofo_mlx.system.quantities import size

EVERY_S: Final = 0.1  # a look takes some 0.1 ms
HINT: Final = "close other programs; `yofo resume` goes on, in smaller pieces if it has to"


@dataclass
class MemoryWatch:
    """Asks a run to leave where memory runs short; as it stands, never.

    `ceiling`: bytes that its arrays may take. `floor`: that have to stay free beside them.
    """

    ceiling: int | None = None
    floor: int = 0
    expected: int = 0  # of the arrays, at the worst moment that is still to come
    reason: str = ""
    _looked: float = -1.0
    _others: int = field(default=0, init=False)  # arrays that are not the run's
    _beside: int = field(default=0, init=False)  # what the process takes beside its arrays

    def expect(self, planner: Planner, most: int, *, forced: bool) -> None:
        """Take in what steps and validations are forecast to need at most, above the model.

        `forced`: it is to be tried all the same.
        """
        resident = resident_bytes(planner.shape)
        self.begin(resident)
        self.ceiling = max(min(planner.limit, limit_now().nbytes), planner.with_margin(most))
        self.expected = 0 if forced else resident + most

    def begin(self, resident: int = 0) -> None:
        """Take in what is there that is not the run's, whose model has so many bytes."""
        active, cached = mx.get_active_memory(), mx.get_cache_memory()
        self._others = max(0, active - resident) if resident else 0
        self._beside = footprint() - active - cached

    def beside(self, asked: Callable[[], bool]) -> Callable[[], bool]:
        """Return what tells whether a run is to end: somebody asked, or memory runs short."""
        return lambda: asked() or self.is_short()

    def is_short(self) -> bool:
        """Tell whether the run has to leave; once it has, it stays so."""
        now = time.monotonic()
        if self.ceiling is None or self.reason or now - self._looked < EVERY_S:
            return bool(self.reason)
        self._looked = now
        if self._look():
            mx.clear_cache()  # freed arrays, kept for what comes
            self.reason = self._look()
        return bool(self.reason)

    def complain(self) -> None:
        """Raise MemoryShort if that is why the run is to end."""
        if self.reason:
            raise MemoryShort(self.reason, HINT)

    def _look(self) -> str:
        """Return what is wrong, empty if nothing is."""
        assert self.ceiling is not None
        cached, held = mx.get_cache_memory(), mx.get_active_memory() - self._others
        process = footprint() - self._beside - cached - LEAST_RESERVE  # what Python takes grows
        if (most := max(held, process)) > self.ceiling:
            return f"ran out of memory: {size(most)} are held, of {size(self.ceiling)} at most"
        free = free_for_arrays()
        more = max(0, self.expected - held - cached)
        if free is None or free >= more + self.floor:
            return ""
        return (
            f"memory ran short: {size(free)} are free, {size(more)} may be needed"
            f" and {size(self.floor)} have to stay"
        )


def watch_over(planner: Planner | None, recipe: Recipe) -> MemoryWatch:
    """Return the watch of a run; its planner says later what to expect."""
    ceiling = planner.limit if planner else limit_now(recipe.memory.limit_gb).nbytes
    watch = MemoryWatch(ceiling, floor=reserve() // 2)
    watch.begin()
    return watch
