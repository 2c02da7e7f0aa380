"""Demonstrations in the context: the session process, its client, and what they are made of."""

__all__ = [
    "batched",
    "cache_file",
    "choosing",
    "client",
    "context",
    "demonstrations",
    "fingerprint",
    "generation",
    "held",
    "protocol",
    "scoring",
    "selection",
    "stages",
]
