"""Episodes: demonstrations as token sequences with the places of their answers, then as arrays."""

__all__ = [
    "batches",
    "bounds",
    "companions",
    "fixed",
    "frames",
    "labels",
    "markers",
    "packing",
    "passes",
    "sampler",
    "segments",
    "symbols",
]
