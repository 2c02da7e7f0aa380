"""Tasks: labelled examples, read from files, the hub and the embedded suite."""

__all__ = [
    "chats",
    "checks",
    "columns",
    "division",
    "families",
    "fields",
    "problems",
    "reading",
    "registry",
    "row_forms",
    "sources",
    "spelling",
    "splits",
    "suite",
    "summary",
    "task",
    "writing",
]
