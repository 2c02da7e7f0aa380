"""Base models and tokenizers, loaded through mlx-lm."""
