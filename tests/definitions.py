"""Expressions that docstrings give as what they are equal to, as programs: none is only prose."""

from textwrap import dedent
from typing import Any


def defined(docstring: str | None, begins: str, **names: Any) -> dict[str, Any]:
    """Run the indented lines of a docstring from one that begins so; return what is then there."""
    lines = iter((docstring or "").splitlines())
    first = next(line for line in lines if line.lstrip().startswith(begins))
    indent = first[: len(first) - len(first.lstrip())]
    block = [first]
    for line in lines:
        if not line.startswith(indent):
            break
        block.append(line)
    namespace = dict(names)
    exec(dedent("\n".join(block)), namespace)
    return namespace
