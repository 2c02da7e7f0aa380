"""Evaluation: accuracy by shots, base against adapter."""

__all__ = [
    "archive",
    "chosen",
    "comparison",
    "confusion",
    "labels",
    "limits",
    "measure",
    "metrics",
    "prompts",
    "report",
    "rows",
    "scores",
    "shared",
    "subjects",
]
