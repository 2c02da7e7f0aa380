"""How pre-training changes weights: Muon for the matrices of the layers, AdamW for the rest."""

from collections.abc import Callable

import mlx.core as mx
import mlx.optimizers as optimizers

from yofo_mlx.tiny.network import Weights

MUON_RATE, ADAM_RATE = 0.02, 3e-3
LONGEST_WARMUP = 100  # steps


def schedule(peak: float, steps: int) -> Callable[[mx.array], mx.array]:
    """Warm up, hold until 60 % of the steps, fall to 3 %."""
    warm, hold = min(LONGEST_WARMUP, steps // 4 + 1), max(1, steps * 6 // 10)
    warming = optimizers.linear_schedule(0.01 * peak, peak, warm)
    falling = optimizers.linear_schedule(peak, 0.03 * peak, max(1, steps - hold))
    return optimizers.join_schedules(
        [warming, lambda _: mx.array(peak), falling], [warm, max(hold, warm + 1)]
    )


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
