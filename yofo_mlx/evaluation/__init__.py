"""Evaluation: accuracy by shots, base against adapter."""

__all__ = [
    "archive",
    "chosen",
    "comparison",
    "forgetting",
    "labels",
    "limits",
    "measure",
    "metrics",
    "prompts",
    "report",
    "rows",
    "scores",
    "shared",
    "stored",
    "subjects",
]
