"""Fine-tune a language model once, with many-shot episodes; then let it learn in context."""

__version__ = "0.1.0"
