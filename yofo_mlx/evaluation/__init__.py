"""Evaluation: accuracy by shots, base against adapter."""

__all__ = [
    "archive",
    "chosen",
    "comparison",
    "limits",
    "measure",
    "prompts",
    "report",
    "scores",
    "subjects",
]
