"""Several processes that train one run, a rank each: passes divided, gradients summed.

Rank 0 decides and writes. The others take their share of every update that it begins, and have from
it what they need: the recipe, where the run stands. All draw the same episodes, so that only sums
travel; and all have the same sums to the bit, so that their adapters stay the same.

Whatever travels is a sum over the ranks to which, where one tells the others, they add zero.
"""

import hashlib
import json
import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from yofo_mlx.errors import RunError
from yofo_mlx.runs.diagnosis import find_cause
from yofo_mlx.system import launcher
from yofo_mlx.system.environment import versions_and_machine

Thing = TypeVar("Thing")
Tree = Any  # of arrays
# Of a machine that is switched off nothing comes, not even an end: seconds until it is asked for
# a sign of life, and between the times it is asked again.
SILENCE_S, AGAIN_S, TIMES = 30, 10, 3
PATIENCE_S = 180  # for the others to come


class StepLeft(Exception):
    """A step, or a validation, was left before it changed anything."""


@dataclass
class Ranks:
    """The processes that train together; as it stands, this one alone."""

    rank: int = 0
    count: int = 1
    group: Any = None
    is_asked: Callable[[], bool] = lambda: False  # to stop, here
    others_ask: bool = False

    def share(self, passes: Sequence[Thing]) -> list[tuple[int, Thing]]:
        """Return the passes of an update that are taken here, with their places."""
        return list(enumerate(passes))[self.rank :: self.count]

    def summed(self, total: mx.array, gradients: Tree, like: Tree) -> tuple[mx.array, Tree]:
        """Return loss and gradients of all ranks; raise StepLeft if one of them left the step.

        `gradients` is None where there are none to add; `like` has their shapes.
        """
        if self.group is None:
            return total, gradients
        return self._summed(total, gradients, like, left=False)

    def leave(self, like: Tree) -> None:
        """Let the others know that this rank's part of their sums does not come."""
        if self.group is not None:
            with suppress(StepLeft):
                self._summed(mx.array(0.0), None, like, left=True)

    def _summed(
        self, total: mx.array, gradients: Tree, like: Tree, *, left: bool
    ) -> tuple[mx.array, Tree]:
        shapes: dict[str, mx.array] = dict(tree_flatten(like))
        here = gradients or tree_map(mx.zeros_like, like)
        parts = dict[str, mx.array](tree_flatten(here)).values()
        flags = mx.array([float(left), float(self.is_asked())])
        flat = [flags, total.reshape(1), *(part.reshape(-1).astype(mx.float32) for part in parts)]
        ends = np.cumsum(
            [part.size for part in flat[:2]] + [array.size for array in shapes.values()]
        )
        one = self._sum(mx.concatenate(flat))  # one message, whatever the number of arrays
        flags, total, *pieces = mx.split(one, ends[:-1].tolist())
        self.others_ask = self.others_ask or bool(flags[1].item())
        added = [
            (name, piece.reshape(array.shape).astype(array.dtype))
            for (name, array), piece in zip(shapes.items(), pieces, strict=True)
        ]
        if flags[0].item():
            raise StepLeft
        return total.reshape(()), tree_unflatten(added)

    def begin_step(self) -> bool:
        """Begin an update with all ranks; tell one that follows whether there is another."""
        return self._order(1)

    def dismiss(self) -> None:
        """Let the others end: the run has come to an end, or to a stop."""
        with suppress(RunError):  # who is gone needs no telling
            self._order(0)

    def _order(self, order: int) -> bool:
        return self.group is None or bool(self._told(mx.array(order)).item())

    def give(self, tree: Tree) -> Tree:
        """Return the arrays that rank 0 has."""
        if self.group is None:
            return tree
        return tree_map(lambda a: self._told(a) if isinstance(a, mx.array) else a, tree)

    def give_text(self, text: str) -> str:
        """Return the text that rank 0 has."""
        if self.group is None:
            return text
        data = np.frombuffer(text.encode(), dtype=np.uint8)
        length = int(np.array(self._told(mx.array(len(data)))))
        data = data if self.rank == 0 else np.zeros(length, dtype=np.uint8)
        return bytes(np.array(self._told(mx.array(data)))).decode()

    def give_fields(self, record: Any) -> Any:
        """Return a flat dataclass as rank 0 has it."""
        if self.group is None:
            return record
        values = json.loads(self.give_text(json.dumps(astuple(record))))
        return type(record)(**dict(zip([f.name for f in fields(record)], values, strict=True)))

    def check_same(self, made_of: dict[str, Any]) -> None:
        """Refuse to train on what is not the same on all ranks: data, model, versions."""
        here = {name: _digest(value) for name, value in made_of.items()}
        first = json.loads(self.give_text(json.dumps(here)))
        differ = [name for name in here if here[name] != first.get(name)]
        if self.group is None or not self._sum(mx.array(float(bool(differ)))).item():
            return
        if differ:
            raise RunError(
                f"{', '.join(differ)}: not the same as on rank 0",
                "every machine needs the same files at the same place, and the same versions",
            )
        raise RunError(
            "another rank has other data, another model or other versions",
            "its own words say which",
        )

    def _told(self, array: mx.array) -> mx.array:
        return self._sum(array if self.rank == 0 else mx.zeros_like(array))

    def _sum(self, array: mx.array) -> mx.array:
        with _losses():
            found: mx.array = mx.distributed.all_sum(array, group=self.group)
            mx.eval(found)
        return found


def join() -> Ranks:
    """Meet the other processes that `mlx.launch` started with this one, if it did.

    Raises RunError where they do not come.
    """
    if launcher.count() == 1:
        return Ranks()
    before = _open_sockets()
    ranks = Ranks(launcher.rank(), launcher.count())
    with _losses(), _patience():
        ranks.group = _meet(time.monotonic() + PATIENCE_S)
    for number in _open_sockets() - before:
        _ask_for_life(number)
    return ranks


def _meet(end: float) -> Any:
    """Return the group; who is started again may be there much earlier than the others."""
    while True:
        try:
            return mx.distributed.init(strict=True)
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(AGAIN_S / 10)


@contextmanager
def _patience() -> Iterator[None]:
    """Have a signal end MLX's waiting for a connection, which has no end of its own."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def made_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what has to be the same on all ranks, of a run's record and this machine."""
    versions = versions_and_machine()["versions"]
    return {
        "the model's files": record["model"].fingerprint,
        "data": record["data"],
        "versions": {name: versions[name] for name in ("yofo", "mlx", "mlx-lm")},
    }


@contextmanager
def _losses() -> Iterator[None]:
    """Say in words that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        cause = find_cause(str(error))
        if cause is None:
            raise
        raise RunError(f"{cause.words}: {error}", cause.hint) from error


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _open_sockets() -> set[int]:
    """Return the descriptors of this process that are connections."""
    found = set()
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):  # the folder itself
            if stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                found.add(int(path.name))
    return found


def _ask_for_life(number: int) -> None:
    """Have the system ask whether the other end of a connection is still there."""
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        for option, value in (
            (idle, SILENCE_S),
            (getattr(socket, "TCP_KEEPINTVL", None), AGAIN_S),
            (getattr(socket, "TCP_KEEPCNT", None), TIMES),
            (getattr(socket, "TCP_USER_TIMEOUT", None), 1000 * (SILENCE_S + AGAIN_S * TIMES)),
        ):
            if option is not None:
                one.setsockopt(socket.IPPROTO_TCP, option, value)
