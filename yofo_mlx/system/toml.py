"""Keys and values as a person writes them in TOML."""

from collections.abc import Mapping
from typing import Any

from yofo_mlx.system.text import escaped


def pairs(table: Mapping[str, Any], between: str = "\n") -> str:
    """Return keys with their values; tables among them are written within braces.

    What a terminal would obey is written as TOML's own escapes.
    """
    import tomlkit

    lines = (
        f"{tomlkit.key(key).as_string()} = {tomlkit.item(_inline(value)).as_string()}"
        for key, value in table.items()
    )
    return escaped(between.join(lines), keep="\n")


def _inline(value: Any) -> Any:
    import tomlkit

    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({key: _inline(inside) for key, inside in value.items()})
        return table
    return [_inline(one) for one in value] if isinstance(value, list | tuple) else value
