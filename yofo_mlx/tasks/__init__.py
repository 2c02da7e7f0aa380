"""Tasks: reading labelled examples from files, hubs and the embedded suite."""

from yofo_mlx.tasks.task import FAMILIES, Example, Family, Task

__all__ = ["FAMILIES", "Example", "Family", "Task"]
