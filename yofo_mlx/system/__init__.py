"""What the machine gives: files, processes, memory, a terminal, text and quantities to print."""

__all__ = [
    "arrays",
    "awake",
    "blas",
    "child",
    "environment",
    "files",
    "launcher",
    "lines",
    "main_memory",
    "memory",
    "paths",
    "peak",
    "powers",
    "progress",
    "quantities",
    "signals",
    "talk",
    "text",
    "toml",
]
