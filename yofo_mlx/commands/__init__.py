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
    "rehearse",
    "removing",
    "runs",
    "show",
    "stop",
    "study",
    "study_report",
    "train",
    "watch",
]
