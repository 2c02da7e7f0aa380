"""What the machine gives: files, processes, memory, a terminal, text and quantities to print."""

__all__ = [
    "arrays",
    "awake",
    "blas",
    "child",
    "environment",
    "files",
    "footprint",
    "launcher",
    "lines",
    "main_memory",
    "memory",
    "paths",
    "peak",
    "progress",
    "quantities",
    "signals",
    "talk",
    "text",
    "toml",
    "wired",
]
