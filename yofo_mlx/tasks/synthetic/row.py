"""What a kind of generated tasks is made of."""

from collections.abc import Callable

Fields = dict[str, str]
"""A row by its columns, `input` and `output` or others that its kind tells of."""
DrawRow = Callable[[], Fields]
SPLIT = "split"  # a column that says which split a row is of, where a kind decides
