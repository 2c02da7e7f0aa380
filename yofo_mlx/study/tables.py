"""Tables of a report in Markdown, and figures as they stand in them."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

WORDS = (
    "arm",
    "task",
    "figure",
    "family",
    "what it is",
    "keys",
    "after",
    "device",
)  # heads of columns


def shots_table(
    curves: Mapping[str, Sequence[Row]], *, seeds: bool = False, cell: Any = None
) -> str:
    """Return a line for each arm and a column for each number of shots."""
    filled = {name: rows for name, rows in curves.items() if rows}
    shots = sorted({row["shots"] for rows in filled.values() for row in rows})
    most = max((row["tasks"] for rows in filled.values() for row in rows), default=0)
    heads = []
    for count in shots:
        tasks = max(
            row["tasks"] for rows in filled.values() for row in rows if row["shots"] == count
        )
        heads.append(f"{count}" if tasks == most else f"{count} ({tasks} of {most} tasks)")
    lines = []
    for name, rows in filled.items():
        by_shots = {row["shots"]: row for row in rows}
        cells = [
            (cell or percent)(by_shots[one]) + _fewer(by_shots[one], filled)
            if one in by_shots
            else "–"
            for one in shots
        ]
        many = sorted({row["seeds"] for row in rows})
        number = f"{many[0]}" if len(many) == 1 else f"{many[0]} to {many[-1]}"
        lines.append([f"`{name}`", *cells, *([number] if seeds else [])])
    return table(["arm", *heads, *(["seeds"] if seeds else [])], lines) if lines else ""


def _fewer(row: Row, curves: Mapping[str, Sequence[Row]]) -> str:
    """Say of a figure that others of its column are over more."""
    column = [one for rows in curves.values() for one in rows if one["shots"] == row["shots"]]
    for what in ("tasks", "queries"):
        most = max(one[what] for one in column)
        if row[what] < most:
            return f" ({row[what]} of {most} {what})"
    return ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; columns of words begin on the left, numbers end on the right."""
    lines = [head, ["---" if one in WORDS else "--:" for one in head], *rows]
    cells = ((text.replace("|", "\\|") for text in line) for line in lines)
    return "\n".join(f"| {' | '.join(some)} |" for some in cells)


def percent(row: Row) -> str:
    """Return a mean in percent, with half its interval."""
    return f"{100 * row['mean']:.1f} ±{50 * (row['high'] - row['low']):.1f}"


def points(row: Row) -> str:
    """Return a difference in points, with its interval."""
    return f"{100 * row['mean']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def difference(row: Row) -> str:
    """Return a difference in points, bold if its interval leaves out 0."""
    is_sure = row["low"] > 0 or row["high"] < 0
    return f"**{points(row)}**" if is_sure else points(row)
