"""Exact loss and gradients of long episodes, one layer and one chunk at a time.

Depth is the outer loop, length the inner one. On the way forward each layer runs over all chunks,
and the input of each group of layers is stashed. On the way back a group's layers are run again to
have their inputs; then, from the last layer to the first, each is differentiated chunk by chunk
from the last to the first: a chunk's gradient with respect to the keys and values of earlier chunks
waits in the layer's cache until it is their turn. So only one layer's keys and values and one
chunk's activations live at a time, and the result is the gradient of the whole, not a truncated
one.

Each piece is evaluated by itself: that keeps memory bounded, and a step can be left between pieces.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from yofo_mlx.episodes.batches import Batch
from yofo_mlx.errors import RunError
from yofo_mlx.gradients.attention import Tape, attending, bounded_attention
from yofo_mlx.gradients.dials import Dials, groups
from yofo_mlx.gradients.layer_cache import KeyValues, Part, Recurrent
from yofo_mlx.gradients.objective import token_losses
from yofo_mlx.gradients.stack import Stack
from yofo_mlx.objectives.sums import is_linear, slopes

Progress = Callable[[int, int, str], None]  # pieces done, pieces in all, "forward" or "backward"
# For each chunk what goes from a layer to the next: x (B, C, D), or (S, B, C, D) with S vectors a
# token, and whatever else the layers hand on.
Stream = list[Any]
# Floats of one block of logits. Chosen: 16 MB, which is 131 rows of a vocabulary of 32,000.
LOGITS_AT_ONCE = 2**22


def chunked_loss_and_gradients(
    model: Any, batch: Batch, dials: Dials, progress: Progress = lambda *_: None
) -> tuple[mx.array, dict[str, Any]]:
    """Return the summed loss of a batch and its gradients by adapter parameter, both undivided.

    `progress` is called between pieces; if it raises, the model is as it was before.
    """
    with bounded_attention():
        return _Step(model, batch, dials, progress).run()


class _Step:
    """One pass over a batch: its chunks, its rows with targets, the sums of its gradients."""

    def __init__(self, model: Any, batch: Batch, dials: Dials, progress: Progress) -> None:
        self.stack = Stack(model)
        # Pieces are computed up to three times: dropout has to draw the same each time.
        self.seed = int(np.array(mx.random.randint(0, 2**31 - 1)))
        self.first = _first_trained(self.stack)
        for caches in self.stack.caches[: self.first]:
            for cache in _keys(caches):
                cache.is_trained = False
        self.groups = groups(len(self.stack.layers) - self.first, dials.stash)
        rows = np.asarray(batch.rows)
        self.places = np.stack(np.divmod(rows, batch.tokens.shape[1]))  # (2, N): episode, position
        length = int(self.places[1].max()) + 1  # nothing after the last target matters
        self.tokens = mx.array(batch.tokens[:, :length])
        self.chunks = [
            (start, min(start + dials.chunk, length)) for start in range(0, length, dials.chunk)
        ]
        # Rows leave the last layer chunk by chunk: targets and weights have to follow that order.
        self.batch = batch
        self.order = np.argsort(self.places[1] // dials.chunk, kind="stable")
        self.places = self.places[:, self.order]
        self.targets = mx.array(batch.targets[self.order])
        self.weights = mx.array(batch.weights[self.order])
        self.smoothing = None if batch.smoothing is None else mx.array(batch.smoothing[self.order])
        self.gradients: dict[str, mx.array] = {}
        self.progress = progress
        self.done = 0
        trained = len(self.stack.layers) - self.first
        recomputed = trained - (len(self.groups[-1]) if self.groups else 0)
        self.pieces = (len(self.stack.layers) + recomputed + trained) * len(self.chunks)

    def run(self) -> tuple[mx.array, dict[str, Any]]:
        stream: Stream = [self._embedding(chunk) for chunk in range(len(self.chunks))]
        # No adapter below: no gradient is wanted there, so nothing is stashed.
        for layer in range(self.first):
            self._forward(layer, stream)
        stash = []
        for group in self.groups[:-1]:
            stash.append(list(stream))
            for layer in group:
                self._forward(self.first + layer, stream)
        # The last group is differentiated first: what it needs is kept, not computed twice.
        inputs, tapes = self._forward_kept(self.groups[-1], stream, to_the_end=True)
        loss, d_hidden = self._tail(mx.concatenate([x for [x] in stream], axis=-2))
        stream = self._scatter(d_hidden, inputs[-1])
        for place, group in reversed(list(enumerate(self.groups))):
            if place < len(self.groups) - 1:
                inputs, tapes = self._forward_kept(group, stash.pop(), to_the_end=False)
            for layer in reversed(group):
                self._backward(self.first + layer, inputs.pop(), tapes.pop(), stream)
        return loss, tree_unflatten(list(self.gradients.items()))

    # ---------------------------------------------------------------- forward

    def _embedding(self, chunk: int) -> list[mx.array]:
        x = self.stack.embedding(self._tokens_of(chunk), self.chunks[chunk][0])
        mx.eval(x)
        return [x]

    def _forward(
        self,
        layer: int,
        stream: Stream,
        tapes: list[Tape] | None = None,
        *,
        leave_open: bool = False,
        attention_only: bool = False,
    ) -> None:
        """Run a layer over all chunks; its outputs take the place of its inputs in `stream`.

        With `attention_only` just the cache and the tapes are filled; the rest is never computed.
        """
        caches = self._open(layer)
        last = layer == len(self.stack.layers) - 1
        for chunk, x in enumerate(stream):
            tape = tapes[chunk] if tapes else None
            y = self._call(layer, chunk, x, tape)
            kept = [_state(caches), tape.arrays if tape else []]
            if not attention_only:
                stream[chunk] = [self._only_rows(chunk, y[0])] if last else y
                kept.append(stream[chunk])
            del x, y
            mx.eval(kept)  # or the graph of all chunks would be alive at once
            self._tick("forward")
        for cache in _keys(caches):
            if cache.lent:
                cache.turn()
            elif not leave_open:
                cache.close()

    def _forward_kept(
        self, group: range, stream: Stream, *, to_the_end: bool
    ) -> tuple[list[Stream], list[list[Tape]]]:
        """Run a group's layers; return the inputs of each and what its attention returned.

        The last one's cache stays open: the way back begins with it.
        """
        inputs, tapes = [], []
        for layer in group:
            last = layer == group[-1]
            inputs.append(list(stream))
            tapes.append([Tape() for _ in self.chunks])
            self._forward(
                self.first + layer,
                stream,
                tapes[-1],
                leave_open=last,
                attention_only=last and not to_the_end,
            )
        return inputs, tapes

    def _open(self, layer: int) -> list[Part]:
        caches = self.stack.caches[layer]
        for cache in caches:
            cache.open(self.chunks)
        return caches

    def _call(
        self,
        layer: int,
        chunk: int,
        inputs: list[mx.array],
        tape: Tape | None,
        traced: mx.array | None = None,
    ) -> list[mx.array]:
        """Return a layer's outputs for a chunk; random numbers depend on the place alone."""
        start, caches = self.chunks[chunk][0], self.stack.caches[layer]
        mx.random.seed(self.seed + layer * len(self.chunks) + chunk)
        if tape and tape.recording:
            tape.state = [array for cache in _recurrent(caches) for array in cache.state]
        traced = mx.array(0.0) if traced is None else traced
        with attending([*caches, *self.stack.borrowed(layer)], tape):
            return self.stack.output(layer, inputs, self._tokens_of(chunk), start, traced)

    # ------------------------------------------------------------------- tail

    def _tail(self, hidden: mx.array) -> tuple[mx.array, mx.array]:
        """Return the loss and its gradient by hidden state, (..., N, D) -> (), (..., N, D)."""
        step = max(1, LOGITS_AT_ONCE // self.stack.logits(hidden[..., :1, :]).shape[-1])
        parts = [slice(start, start + step) for start in range(0, hidden.shape[-2], step)]
        if not is_linear(self.batch):
            return self._bent_tail(hidden, parts)
        total, gradients = mx.array(0.0), []
        for part in parts:

            def loss(rows: mx.array, part: slice = part) -> mx.array:
                return (self._losses(rows, part) * self.weights[part]).sum()

            added, gradient = mx.value_and_grad(loss)(hidden[..., part, :])
            total = total + added
            mx.eval(total, gradient)
            gradients.append(gradient)
        return total, mx.concatenate(gradients, axis=-2)

    def _bent_tail(self, hidden: mx.array, parts: list[slice]) -> tuple[mx.array, mx.array]:
        """Return the same of a loss that is no weighted sum: first all losses, then its slopes."""
        found = []
        for part in parts:
            found.append(self._losses(hidden[..., part, :], part))
            mx.eval(found)
        back = np.argsort(self.order)
        total, weights = slopes(mx.concatenate(found)[mx.array(back)], self.batch)
        weights = weights[mx.array(self.order)]
        gradients = []
        for part in parts:
            rows, slope = hidden[..., part, :], weights[part]
            _, (gradient,) = mx.vjp(partial(self._losses, part=part), [rows], [slope])
            mx.eval(gradient)
            gradients.append(gradient)
        return total, mx.concatenate(gradients, axis=-2)

    def _losses(self, rows: mx.array, part: slice) -> mx.array:
        """Return the losses of some targets from their hidden states, (..., n, D) -> (n,)."""
        smoothing = None if self.smoothing is None else self.smoothing[part]
        return token_losses(self.stack.logits(rows), self.targets[part], smoothing)

    def _only_rows(self, chunk: int, y: mx.array) -> mx.array:
        """Return the hidden states that predict a target, (..., B, C, D) -> (..., N, D)."""
        episodes, positions = self._rows_of(chunk)
        return y[..., episodes, positions, :] if episodes.size else y[..., 0, :0, :]

    def _scatter(self, d_hidden: mx.array, like: Stream) -> Stream:
        """Return the gradient of the last layer's output from that of its rows."""
        stream: Stream = []
        start = 0
        for chunk, [x, *_] in enumerate(like):
            episodes, positions = self._rows_of(chunk)
            part = d_hidden[..., start : start + episodes.size, :]
            start += episodes.size
            d_y = mx.zeros((*d_hidden.shape[:-2], *x.shape[-3:]), x.dtype)
            rows = (..., episodes, positions, slice(None))
            stream.append([d_y.at[rows].add(part) if episodes.size else d_y])
        return stream

    def _rows_of(self, chunk: int) -> tuple[mx.array, mx.array]:
        start, end = self.chunks[chunk]
        episodes, positions = self.places[:, (self.places[1] >= start) & (self.places[1] < end)]
        return mx.array(episodes), mx.array(positions - start)

    # --------------------------------------------------------------- backward

    def _backward(self, layer: int, inputs: Stream, tapes: list[Tape], stream: Stream) -> None:
        """Differentiate a layer; in `stream` the gradients of its inputs replace its outputs'."""
        caches = self.stack.caches[layer]
        for tape in tapes:
            tape.recording = False
        # All keys and values first: the last chunk is differentiated first and sees them all.
        if not all(cache.is_open for cache in _keys(caches)):
            self._refill(layer, inputs, tapes)
        for cache in _keys(caches):
            cache.turn()
        d_state: list[mx.array] = []
        for chunk in reversed(range(len(self.chunks))):
            x, tape, d_y = inputs.pop(), tapes.pop(), stream[chunk]
            stream[chunk], d_state = self._differentiate(layer, chunk, x, tape, d_y, d_state)
            del x, tape, d_y
            # What goes to earlier chunks, too, or it would hold on to this one's graph.
            lent = _state(self.stack.borrowed(layer))
            mx.eval(stream[chunk], d_state, self.gradients, _state(caches), lent)
            self._tick("backward")
        for cache in _keys(caches):
            cache.close()

    def _refill(self, layer: int, inputs: Stream, tapes: list[Tape]) -> None:
        """Compute a layer's keys and values again."""
        caches = self._open(layer)
        for chunk, x in enumerate(inputs):
            self._call(layer, chunk, x, tapes[chunk])
            mx.eval(_state(caches))

    def _differentiate(
        self,
        layer: int,
        chunk: int,
        inputs: list[mx.array],
        tape: Tape,
        d_y: list[mx.array],
        d_state: list[mx.array],
    ) -> tuple[list[mx.array], list[mx.array]]:
        """Add one piece's gradients to the sums; return those of its inputs and earlier state."""
        module, caches = self.stack.layers[layer], _recurrent(self.stack.caches[layer])
        trained: list[Any] = list(tree_flatten(module.trainable_parameters()))
        names, weights = [name for name, _ in trained], [array for _, array in trained]
        # Weights, the state from earlier chunks and the input are arguments: what `vjp` merely
        # captures gets no gradient. Keys and values of earlier chunks are sent theirs by the cache.
        state = [array for array in tape.state if array is not None]
        traced = [mx.array(0.0)] if self.stack.borrowed(layer) else []
        inputs_too = inputs if layer > self.first else []

        def run(*arrays: mx.array) -> list[mx.array]:
            watched = [tape.watched(array) for array in arrays[: len(names)]]
            module.update(tree_unflatten(list(zip(names, watched, strict=True))))
            given = list(arrays[len(names) :])
            kept, earlier = iter(tape.state), iter(given)
            for cache in caches:
                arrays_of = [next(kept) for _ in cache.state]
                cache.state = [None if array is None else next(earlier) for array in arrays_of]
            probe = next(earlier) if traced else None
            y = self._call(layer, chunk, list(earlier) or inputs, tape, probe)
            return [*y, *(_state(caches) if d_state else [])]

        try:
            _, found = mx.vjp(run, [*weights, *state, *traced, *inputs_too], [*d_y, *d_state])
        finally:
            module.update(tree_unflatten(trained))
        tape.catch_up()
        for gradient in reversed(found[: len(names)]):  # from a layer's end: activations go sooner
            mx.eval(gradient)
        prefix = self.stack.names[layer]
        for name, gradient in zip(names, found, strict=False):
            key = f"{prefix}.{name}"
            known = self.gradients.get(key)
            self.gradients[key] = gradient if known is None else known + gradient
        rest = found[len(names) :]
        return rest[len(state) + len(traced) :], rest[: len(state)]

    # ------------------------------------------------------------------ small

    def _tokens_of(self, chunk: int) -> mx.array:
        start, end = self.chunks[chunk]
        return self.tokens[:, start:end]

    def _tick(self, phase: str) -> None:
        self.done += 1
        self.progress(self.done, self.pieces, phase)


def _state(caches: Sequence[Part]) -> list[mx.array]:
    """Return what a chunk changes in a layer's caches."""
    return [array for cache in caches for array in cache.arrays]


def _keys(caches: Sequence[Part]) -> list[KeyValues]:
    return [cache for cache in caches if isinstance(cache, KeyValues)]


def _recurrent(caches: Sequence[Part]) -> list[Recurrent]:
    return [cache for cache in caches if isinstance(cache, Recurrent)]


def _first_trained(stack: Stack) -> int:
    """Return the index of the first layer with trainable parameters; nothing else may have any."""
    counts = [len(tree_flatten(layer.trainable_parameters())) for layer in stack.layers]
    if not any(counts):
        raise RunError("the model has no adapter", "nothing in its layers is trainable")
    once = {id(layer): count for layer, count in zip(stack.layers, counts, strict=True)}
    if sum(once.values()) != len(tree_flatten(stack.model.trainable_parameters())):
        raise RunError(
            f"{stack.model.model_type}: parameters outside its layers are trained",
            "chunked training adapts layers only: change lora.keys",
        )
    return next(index for index, count in enumerate(counts) if count)
