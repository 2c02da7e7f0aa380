"""A base model, its tokenizer and its adapter, loaded through mlx-lm."""

__all__ = [
    "adapter_files",
    "adapters",
    "base",
    "computing",
    "gguf",
    "layer_names",
    "layers",
    "logits",
    "peft_files",
    "prompt_cache",
    "rotary",
    "tables",
]
