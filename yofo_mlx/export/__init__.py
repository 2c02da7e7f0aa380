"""A trained adapter in the forms of other tools."""

__all__ = ["card", "fused", "gguf_adapter", "gguf_model", "ollama", "peft", "upload"]
