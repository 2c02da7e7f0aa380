"""Loss and gradients of a batch of episodes: the door between training loop and model."""

from yofo_mlx.longcontext.plain import loss_and_gradients

__all__ = ["loss_and_gradients"]
