"""Figures as CSV: a line each, so that a file can grow while the run does."""

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from yofo_mlx.runs.folder import Run
from yofo_mlx.system.files import disk_error

COLUMNS = ("run", "step", "time", "name", "value")


@dataclass
class CsvFile:
    """Writes a file, or standard output where none is named."""

    out: Path | None
    _stream: TextIO = field(init=False)
    _writer: Any = field(init=False)
    _run_id: str = ""

    def begin(self, run: Run) -> None:
        """Write the names of the columns."""
        try:
            file = self.out.open("w", encoding="utf-8", newline="") if self.out else sys.stdout
        except OSError as error:
            raise disk_error(error, self.out or Path.cwd()) from error
        self._stream = file
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
