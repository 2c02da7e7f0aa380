"""The ways to choose which demonstrations a query sees, as options and recipes name them."""

from typing import Literal, get_args

Way = Literal["balanced", "all", "similar", "tail", "adaptive", "blocks"]
WAYS: tuple[Way, ...] = get_args(Way)

Form = Literal["fused", "peft", "gguf-adapter", "gguf", "ollama", "hub"]  # of an exported adapter
