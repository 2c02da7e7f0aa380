"""GGUF files, written as directories that mlx-lm loads."""
