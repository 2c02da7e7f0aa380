"""What the verbs of the command line do, a module each."""

__all__ = [
    "background",
    "chat",
    "convert",
    "data",
    "data_request",
    "doctor",
    "eval",
    "models",
    "overview",
    "plan",
    "recipes",
    "removing",
    "runs",
    "show",
    "stop",
    "train",
    "watch",
]
