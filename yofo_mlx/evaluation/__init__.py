"""Evaluation: accuracy by shots, base against adapter."""

__all__ = [
    "archive",
    "chosen",
    "comparison",
    "confusion",
    "forgetting",
    "labels",
    "limits",
    "measure",
    "metrics",
    "prompts",
    "ranking",
    "report",
    "rows",
    "scores",
    "shared",
    "subjects",
]
