"""Evaluation: accuracy by shots, base against adapter."""

__all__ = [
    "archive",
    "chosen",
    "comparison",
    "limits",
    "measure",
    "metrics",
    "prompts",
    "report",
    "scores",
    "subjects",
]
