"""How pre-training changes weights: Muon for the matrices of the layers, AdamW for the rest."""

from collections.abc import Callable

import mlx.core as mx
import mlx.optimizers as optimizers

from yofo_mlx.tiny.network import Weights

MUON_RATE, ADAM_RATE = 0.02, 3e-3
LONGEST_WARMUP, HELD, LAST = 100, 0.6, 0.03  # steps; share of steps at the peak; last rate


def schedule(peak: float, steps: int) -> Callable[[mx.array], mx.array]:
    """Warm up, hold the peak, then go down in a line."""
    warm = min(LONGEST_WARMUP, steps // 4 + 1)
    hold = max(int(HELD * steps), warm + 1)
    parts = [
        optimizers.linear_schedule(0.01 * peak, peak, warm),
        lambda _: mx.array(peak),
        optimizers.linear_schedule(peak, LAST * peak, max(1, steps - hold)),
    ]
    return optimizers.join_schedules(parts, [warm, hold])


class Updater:
    """Two optimizers and their states, for weights in one flat mapping."""

    def __init__(self, steps: int) -> None:
        # MLX adds the decay to the gradient, where it would drown what the small loss asks for.
        self.muon = optimizers.Muon(schedule(MUON_RATE, steps), weight_decay=0.0)
        self.adam = optimizers.AdamW(
            schedule(ADAM_RATE, steps), betas=[0.9, 0.98], weight_decay=0.0
        )

    def apply(self, gradients: Weights, weights: Weights) -> dict[str, mx.array]:
        """Return the weights after one update."""
        clipped, _ = optimizers.clip_grad_norm(gradients, 1.0)
        matrices = [name for name in weights if name.endswith("_proj.weight")]
        others = [name for name in weights if not name.endswith("_proj.weight")]
        updated: dict[str, mx.array] = {}
        for optimizer, names in ((self.muon, matrices), (self.adam, others)):
            part = {name: clipped[name] for name in names}
            updated |= optimizer.apply_gradients(part, {name: weights[name] for name in names})
        mx.eval(updated, self.muon.state, self.adam.state)
        return {name: updated[name] for name in weights}
