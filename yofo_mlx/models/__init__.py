"""A base model, its tokenizer and its adapter, loaded through mlx-lm."""
