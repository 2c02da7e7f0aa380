"""Figures as CSV: a line each, so that a file can grow while the run does."""

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from yofo_mlx.runs.folder import Run

COLUMNS = ("run", "step", "time", "name", "value")


@dataclass
class CsvFile:
    """Writes a file, or standard output where none is named."""

    out: Path | None
    package = "csv"
    _stream: TextIO = field(init=False)
    _writer: Any = field(init=False)
    _run_id: str = ""

    def begin(self, run: Run) -> None:
        """Write the names of the columns."""
        if self.out:
            self.out.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self.out.open("w", encoding="utf-8", newline="") if self.out else sys.stdout
        self._writer, self._run_id = csv.writer(self._stream, lineterminator="\n"), run.run_id
        self._writer.writerow(COLUMNS)

    def log(self, step: int, seconds: float, figures: dict[str, float]) -> None:
        """Write a line for each figure."""
        self._writer.writerows(
            (self._run_id, step, seconds, name, repr(value)) for name, value in figures.items()
        )
        self._stream.flush()

    def end(self, *, well: bool) -> str:
        """Close the file."""
        if self.out is None:
            return ""
        self._stream.close()
        return str(self.out)
