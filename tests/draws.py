"""How many random inputs a property test tries: all in a search, a part of them in the gate."""

from typing import Any

from hypothesis import settings

USUAL = 100
"""Inputs of a test that says nothing else, when one searches (`make random`, `make mutants`)."""


def draws(count: int, **others: Any) -> settings:
    """Return settings that try this many inputs in a search, and as the profile says elsewhere."""
    assert settings.default is not None
    share = settings.default.max_examples / USUAL
    return settings(max_examples=max(1, round(count * share)), **others)
