"""Evaluation: accuracy by shots, base against adapter."""

__all__ = [
    "archive",
    "calibration",
    "chosen",
    "comparison",
    "confusion",
    "forgetting",
    "labels",
    "limits",
    "measure",
    "metrics",
    "numbers",
    "prompts",
    "ranking",
    "report",
    "rouge",
    "rows",
    "scores",
    "shared",
    "subjects",
]
