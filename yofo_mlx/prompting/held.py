"""What a session holds: a model, and demonstrations it has read. Only what changed is done again.

Everything here blocks; `cancel` and `kill` may be called meanwhile, from any thread.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from yofo_mlx.errors import Cancelled, RunError, YofoError
from yofo_mlx.models.adapter_files import WEIGHTS_FILE, check_files, folder_of
from yofo_mlx.prompting.choosing import Shots
from yofo_mlx.prompting.client import OnNote, SessionClient
from yofo_mlx.prompting.protocol import BASE, Params
from yofo_mlx.recipe.names import is_path
from yofo_mlx.recipe.ways import Way
from yofo_mlx.runs import listing
from yofo_mlx.system.text import reason
from yofo_mlx.tasks.task import Example

Result = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """Who answers: a run's adapter or another one on its base model, or a base model alone."""

    run: str | None = None
    model: str | None = None
    adapter: str | None = None
    use_adapter: bool = True
    stamp: tuple[int, ...] = ()  # another one where the adapter's files are other ones
    beside: "tuple[Model, ...]" = ()  # who answers with it, from the same base model
    make_room: bool = False  # they forget for each other what does not fit

    @property
    def has_adapter(self) -> bool:
        """Tell whether there is an adapter to switch on and off."""
        return bool(self.run or self.adapter)

    @property
    def is_adapted(self) -> bool:
        """Tell whether an adapter answers."""
        return self.use_adapter and self.has_adapter

    def params(self) -> Params:
        """Return the parameters of `load`."""
        named = {"run": self.run, "model": self.model, "adapter": self.adapter}
        params = _given(named) | {"use_adapter": self.use_adapter}
        if self.beside:
            params["beside"] = [one.params() for one in self.beside]
        return params | ({"make_room": True} if self.make_room else {})


def beside(name: str) -> Model:
    """Return who is meant by a name beside another: `base`, a run, or an adapter's folder."""
    if name == BASE:
        return Model(use_adapter=False)
    if os.sep in name or is_path(name) or (Path(name) / WEIGHTS_FILE).is_file():
        folder = folder_of(name)
        check_files(folder)
        return Model(adapter=str(folder))
    return Model(run=listing.find(name).run_id)


@dataclass(frozen=True)
class Offer:
    """What may stand before a query: demonstrations to choose from, and how they are chosen."""

    examples: tuple[Example, ...] = ()
    instruction: str = ""
    shots: Shots = None  # None: as many as were trained
    seed: int | None = None
    choose: Way = "balanced"
    kept: str | None = None  # the folder of their keys and values
    kv_bits: int | None = None
    block: int | None = None  # demonstrations in a block
    blocks_share: float | None = None  # of the blocks, seen by a query

    def params(self) -> Params:
        """Return the parameters of `prefill`."""
        pairs = [example.as_pair() for example in self.examples]
        choice = _given({"shots": self.shots, "seed": self.seed})
        if self.choose != "balanced":
            choice["choose"] = self.choose
        if self.choose == "blocks":
            choice |= _given({"block": self.block, "blocks_share": self.blocks_share})
        if self.kept:
            choice |= _given({"kept": self.kept, "kv_bits": self.kv_bits})
        return {"demonstrations": pairs, "instruction": self.instruction, **choice}


@dataclass
class Held:
    """A session and what it holds, which outlives the session's process."""

    client: SessionClient
    shown: tuple[Example, ...] = ()  # the demonstrations in the context, in their order
    facts: Result = field(default_factory=dict)  # what the session said of them
    _model: Model | None = None  # None: none, or nobody knows
    _offer: Offer | None = None  # what was read, chosen from it
    _last: tuple[Sequence[Example], Sequence[Example]] = ((), ())  # offered, and shown
    _is_given_up: bool = False
    _is_killed: bool = False

    def load(self, model: Model, on_note: OnNote | None = None) -> Result | None:
        """See to it that a session has the model; return what it says of one that it had to load.

        Each thing that is asked begins with this, and is what `cancel` and `kill` then end. Why a
        session ended meanwhile is noted as `ended`.
        """
        self._is_given_up = self._is_killed = False
        if not self.client.is_alive:
            if self._model is not None and on_note is not None and (end := self.client.ended):
                on_note("ended", {"words": end.message})
            self._model = None
            try:
                self.client.restart()
            except OSError as error:
                why = error.strerror or reason(error)
                raise RunError(f"no session: {why}", "ask again") from error
        if model == self._model:
            return None
        self._model = self._offer = None
        try:
            loaded = self.call("load", model.params(), on_note)
        except KeyboardInterrupt:  # it may be stuck, and holds nothing that could be lost
            self.client.kill()
            raise
        self.shown, self.facts = (), {}
        self._model = model
        return loaded

    def read(self, offer: Offer, on_note: OnNote | None = None, *, anew: bool = False) -> bool:
        """See to it that the demonstrations are in the context; tell if they had to be read.

        `anew` asks the session in any case; what stays in the context is not read again by that.
        """
        if offer == self._offer and not anew:
            return False
        self._offer, self.shown, self.facts = None, (), {}
        params = offer.params() | self._as_before(offer.examples)
        self._keep(offer, self.call("prefill", params, on_note))
        return True

    def forget(self) -> None:
        """Let what is read next depend on nothing that was shown before; the model stays."""
        self.shown, self.facts, self._offer, self._last = (), {}, None, ((), ())

    def load_cache(self, path: str, offer: Offer) -> Offer:
        """Read a prompt cache file, K and V included; return the offer with what is in it."""
        before, self._offer = self._offer, None
        try:
            result = self.call("load_cache", {"path": path})
        except YofoError:  # a refused file changes nothing
            self._offer = before
            raise
        examples = tuple(Example(**pair) for pair in result["demonstrations"])
        offer = replace(offer, examples=examples, instruction=result["instruction"])
        self._keep(offer, result)
        return offer

    def call(
        self, method: str, params: Params | None = None, on_note: OnNote | None = None
    ) -> Result:
        """Call the session about what it holds; which method is noted as `calling` first."""
        try:
            if self._is_given_up:  # between two calls: a session only gives up the one it is at
                raise Cancelled("cancelled")
            if on_note is not None:
                on_note("calling", {"method": method})
            return self.client.call(method, params, on_note)
        except YofoError:
            if not self.client.is_alive:
                self._model = None
            if self._is_killed:
                raise Cancelled("stuck, and ended", "ask again: that starts another") from None
            raise

    def cancel(self) -> None:
        """Ask the session to give up what it is doing; may wait where the session is stuck."""
        self._is_given_up = True
        self.client.cancel()

    def kill(self) -> None:
        """End a session that does not give up; what it was asked ends as cancelled."""
        self._is_given_up = self._is_killed = True
        self.client.kill()

    def _keep(self, offer: Offer, result: Result) -> None:
        self._offer, self.facts = offer, result
        self.shown = tuple(offer.examples[place] for place in result["chosen"])
        self._last = offer.examples, self.shown

    def _as_before(self, examples: Sequence[Example]) -> Params:
        """Return what a session needs to show what another one, which has died, has shown."""
        offered, shown = self._last
        places = {example: place for place, example in enumerate(examples)}
        new = places.keys() - set(offered)
        return {
            "shown": [places[example] for example in shown if example in places],
            "added": sorted(places[example] for example in new) if shown else [],
        }


def _given(params: Params) -> Params:
    return {name: value for name, value in params.items() if value is not None}
