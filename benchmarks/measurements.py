"""One table for every benchmark: a row a figure, with what it was measured of, on what, and when.

    python benchmarks/measurements.py docs/benchmarks/measured.csv --metric seconds --model B

Every script here that measures takes `--table FILE` and adds its rows there; this one shows a
table's rows in Markdown.
"""

import argparse
import csv
import io
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yofo_mlx.system.environment import versions_and_machine
from yofo_mlx.system.files import write_text
from yofo_mlx.system.quantities import plural

COMMIT = 12  # characters of it: enough to find it


@dataclass(frozen=True)
class Measurement:
    """One figure; p20 to p80 are of `count` repetitions, all the same where there is one."""

    method: str
    model: str  # empty where none is involved
    tokens: int | None  # of an episode or a context
    metric: str  # with its unit: "seconds", "peak MB"
    p20: float
    p50: float
    p80: float
    count: int
    device: str
    date: str  # YYYY-MM-DD, UTC
    commit: str
    versions: str


FIELDS = tuple(field.name for field in fields(Measurement))


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies, between the two nearest."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def measurements(
    figures: Mapping[str, float | Sequence[float]],
    *,
    method: str,
    model: str = "",
    tokens: int | None = None,
    machine: Mapping[str, str] | None = None,
) -> list[Measurement]:
    """Return a row for each figure, which is one number or those of several repetitions.

    `machine`: device, date, commit and versions where these are not here and now.
    """
    made_with = machine or here_and_now()
    rows = []
    for metric, value in figures.items():
        values = [value] if isinstance(value, (int, float)) else list(value)
        low, middle, high = (float(f"{quantile(values, q):.9g}") for q in (0.2, 0.5, 0.8))
        about = (method, model, tokens, metric, low, middle, high, len(values))
        rows.append(Measurement(*about, **made_with))
    return rows


def here_and_now() -> dict[str, str]:
    """Return device, date, commit and versions of this process."""
    found = versions_and_machine()
    versions = {"python": found["python"], **found["versions"]}
    return {
        "device": f"{found['device']}, {_threads()}, {platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).date().isoformat(),
        "commit": found["git_commit"][:COMMIT],
        "versions": " ".join(f"{name} {number}" for name, number in versions.items() if number),
    }


def _threads() -> str:
    given = os.environ.get("OPENBLAS_NUM_THREADS")
    cores = plural(os.cpu_count() or 1, "core")
    return f"{cores}, {plural(int(given), 'BLAS thread')}" if given and given.isdigit() else cores


def add(path: Path, rows: Iterable[Measurement]) -> None:
    """Add rows to a table, beside the older ones."""
    write(path, [*(read(path) if path.exists() else []), *rows])


def read(path: Path) -> list[Measurement]:
    """Return a table's rows; ValueError where it has other columns."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != FIELDS:
            raise ValueError(f"{path}: its columns are not {', '.join(FIELDS)}")
        return [_parsed(row) for row in reader]


def _parsed(row: Mapping[str, str]) -> Measurement:
    numbers: dict[str, Any] = {name: float(row[name]) for name in ("p20", "p50", "p80")}
    numbers |= {"tokens": int(row["tokens"]) if row["tokens"] else None, "count": int(row["count"])}
    return Measurement(**{**row, **numbers})


def write(path: Path, rows: Iterable[Measurement]) -> None:
    """Write a table."""
    lines = [FIELDS, *(["" if v is None else v for v in astuple(row)] for row in rows)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


def markdown(rows: Iterable[Measurement]) -> str:
    """Return rows as a table, without what all of them share of device, date, commit, versions."""
    given = [asdict(row) for row in rows]
    made_with = FIELDS[FIELDS.index("device") :]
    same = {name for name in made_with if len({row[name] for row in given}) == 1}
    names = [name for name in FIELDS if name not in same]
    cells = [[_cell(row[name]) for name in names] for row in given]
    table = [names, ["--:" if isinstance(given[0][name], float) else "---" for name in names]]
    lines = ["| " + " | ".join(row) + " |" for row in [*table, *cells]]
    shared = [f"{name}: {given[0][name]}" for name in made_with if name in same]
    return "\n".join([*lines, "", *shared])


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark be told where to add its rows."""
    parser.add_argument("--table", type=Path, help="CSV file that the figures are added to")


def keep(path: Path | None, figures: Mapping[str, Any], **about: Any) -> None:
    """Add a benchmark's figures to the table asked for, if one was; what is no number stays out."""
    if path:
        numbers = {
            name: value
            for name, value in figures.items()
            if isinstance(value, list) or (isinstance(value, (int, float)) and value == value)
        }
        add(path, measurements(numbers, **about))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    for name in ("method", "model", "metric"):
        parser.add_argument(f"--{name}", help=f"rows of this {name} only")
    asked = vars(parser.parse_args())
    path = asked.pop("table")
    wanted = {name: value for name, value in asked.items() if value is not None}
    rows = [row for row in read(path) if wanted.items() <= asdict(row).items()]
    print(markdown(rows) if rows else "no such row")


if __name__ == "__main__":
    main()
