"""The recipe: every knob of a run, declared once, read from TOML and written back."""

__all__ = [
    "compose",
    "condition",
    "family",
    "file",
    "lora_config",
    "names",
    "reference",
    "schema",
    "section",
    "study",
    "template",
    "ways",
]
