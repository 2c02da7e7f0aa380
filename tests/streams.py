"""Event streams that no trainer of this version writes."""

import time
from types import SimpleNamespace
from typing import Any

from yofo_mlx.runs.events import Event, EventWriter


class FreeWriter(EventWriter):
    """Writes events of any kind with any fields, as older and newer versions may."""

    def write(self, kind: str, **fields: Any) -> Event:  # type: ignore[override]
        event = {"v": 1, "t": time.time(), "kind": kind} | fields
        told: Any = SimpleNamespace(now=lambda: event)
        return super().write(told)
