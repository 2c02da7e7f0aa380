"""The one table of all benchmarks: what a row says, and that older rows stay."""

import argparse
import math
from pathlib import Path

import measurements
import pytest
import table
from measurements import FIELDS, add, quantile, read

MACHINE = {"device": "a chip", "date": "2026-11-22", "commit": "abc", "versions": "mlx 1"}
DOCS = Path(__file__).parents[1] / "docs"


def test_a_figure_of_several_repetitions_has_its_spread() -> None:
    figures = {"seconds": [5.0, 1.0, 2.0, 3.0, 4.0], "peak MB": 7}
    spread, single = measurements.measurements(figures, method="yofo", tokens=8, machine=MACHINE)
    assert (spread.p20, spread.p50, spread.p80, spread.count) == (1.8, 3.0, 4.2, 5)
    assert (single.p20, single.p50, single.p80, single.count) == (7.0, 7.0, 7.0, 1)
    assert quantile([1.0, 2.0], 0.5) == 1.5


def test_rows_are_added_beside_older_ones_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    rows = measurements.measurements(
        {"seconds": [1.0, 2.0], "loss": 10.4113120}, method="a, b", machine=MACHINE
    )
    add(path, rows[:1])
    add(path, rows[1:])
    assert read(path) == rows
    assert rows[0].tokens is None
    path.write_text("round,label\n0,yofo\n")
    with pytest.raises(ValueError, match="its columns are not method"):
        read(path)
    with pytest.raises(ValueError, match="its columns are not method"):
        add(path, rows)
    assert path.read_text() == "round,label\n0,yofo\n"


def test_a_benchmark_keeps_numbers_only_and_only_where_asked(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    measurements.add_option(parser)
    measurements.keep(parser.parse_args([]).table, {"seconds": 1.0}, method="x")
    path = tmp_path / "t.csv"
    figures = {"seconds": 1.0, "name": "word", "none": None, "auroc": math.nan, "same": True}
    measurements.keep(path, figures, method="x", model="tiny")
    assert [(row.metric, row.p50) for row in read(path)] == [("seconds", 1.0), ("same", 1.0)]
    assert "mlx " in read(path)[0].versions


def test_what_all_rows_share_is_said_once() -> None:
    rows = measurements.measurements({"seconds": 1.0, "loss": 2.0}, method="x", machine=MACHINE)
    shown = measurements.markdown(rows)
    assert shown.count("a chip") == 1
    assert "| x |  |  | loss | 2 | 2 | 2 | 1 |" in shown


def test_steps_of_a_method_become_rows_and_failed_ones_none() -> None:
    step = {"label": "yofo", "tokens": 8, "peak_bytes": 2e6, "loss": 1.0, "forecast_bytes": 3e6}
    steps = [step | {"seconds": 1.0}, step | {"seconds": "3"}, step | {"error": "the time is over"}]
    found = table.measured(steps, "B", MACHINE)
    assert {row.metric: row.p50 for row in found} == {
        "seconds": 2.0,
        "peak MB": 2.0,
        "forecast MB": 3.0,
        "loss": 1.0,
    }
    assert table.markdown(found).endswith("| 8 | yofo | 2 | 1.50 | 2.0 | 1.000000 | 2 |")


def test_what_another_machine_measured_has_a_line_of_its_own() -> None:
    step = {"label": "yofo", "tokens": 8, "peak_bytes": 2e6, "loss": 1.0, "seconds": 1.0}
    here = table.measured([step], "B", MACHINE)
    there = table.measured([step | {"seconds": 3.0}], "B", MACHINE | {"device": "another"})
    lines = table.markdown([*here, *there]).splitlines()
    assert [line.split("|")[5].strip() for line in lines[2:]] == ["1.0", "3.0"]


def test_the_tables_of_the_docs_are_those_of_the_file() -> None:
    rows = read(DOCS / "benchmarks" / "measured.csv")
    page = (DOCS / "benchmarks.md").read_text("utf-8")
    assert tuple(FIELDS[:4]) == ("method", "model", "tokens", "metric")
    for model in ("A", "A2", "B"):
        for line in table.markdown([row for row in rows if row.model == model]).splitlines():
            assert line in page
