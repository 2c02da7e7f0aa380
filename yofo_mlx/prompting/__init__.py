"""Demonstrations in the context: the session process, its client, and what they are made of."""

__all__ = [
    "batched",
    "cache_file",
    "cache_header",
    "choosing",
    "client",
    "context",
    "demonstrations",
    "fingerprint",
    "generation",
    "held",
    "inprocess",
    "prefix",
    "protocol",
    "retrieval",
    "scoring",
    "selection",
    "session",
    "sets",
    "stages",
    "tails",
]
