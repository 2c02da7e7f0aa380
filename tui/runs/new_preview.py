"""What a draft would train and need, asked of a process of its own, always the newest draft."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.preview.client import PreviewClient

from .new_draft import Draft

PATIENCE = 1.0  # seconds of work on an old draft, after which it is ended for a new one


@dataclass(frozen=True)
class Wish:
    """A draft to look at, which of its episodes, whether to ask the hub, to time a few steps."""

    draft: Draft
    step: int
    fetch: bool
    measures: bool = False


class Previewer:
    """Asks for plan and episode in a thread; `tell` hears of each as it comes."""

    def __init__(self, tell: Callable[[str, Any], object]) -> None:
        self._client = PreviewClient()
        self._tell = tell
        self._since: float | None = None  # at work

    def interrupt(self) -> None:
        """Stop work on a draft that is old, if it has taken long: the process is then another."""
        since = self._since
        if since is not None and time.monotonic() - since > PATIENCE:
            self.stop()

    def stop(self) -> None:
        """End the process, and what it has read with it."""
        self._client.stop()

    def look(self, wish: Wish) -> None:
        """Ask, and wait for the answers."""
        self._since = time.monotonic()
        try:
            data = deepcopy(wish.draft).whole()
            folder = str(wish.draft.recipe.parent)
            if wish.measures:
                self._tell("progress", "timing a few steps")
                self._client.call("measure", self._progress, data=data, folder=folder)
            self._tell("plan", self._client.call("plan", data=data, folder=folder))
            self._since = time.monotonic()
            asked = {"data": data, "folder": folder, "step": wish.step, "fetch": wish.fetch}
            self._tell("episode", self._client.call("episode", self._progress, **asked))
        except Cancelled:
            pass
        except YofoError as error:
            self._tell("wrong", error)
        finally:
            self._since = None

    def _progress(self, what: str, done: int, total: int) -> None:
        of = f" of {total:,}" if total else ""
        self._tell("progress", f"{what} {done:,}{of}" if what else "")


def offers(action: str, facts: dict[str, Any]) -> bool:
    """Tell whether an action applies to what is known of a draft."""
    plan = facts.get("plan", {})
    if action == "fit":
        return bool(plan) and not plan["fits"] and bool(plan["longest_max_tokens"])
    if action == "measure":
        return bool(plan) and plan["fits"] and plan["is_here"]
    if action == "fetch":
        return "on the hub" in [one["state"] for one in facts.get("sources", [])]
    return action != "next" or bool(facts.get("episode"))
