"""Runs: what is on disk of them, and the processes that write it."""

__all__ = [
    "console",
    "crew",
    "diagnosis",
    "divergence",
    "events",
    "folder",
    "info",
    "init_adapter",
    "kinds",
    "launch",
    "listing",
    "lock",
    "names",
    "notify",
    "recipe",
    "supervisor",
    "trained",
    "trash",
]
