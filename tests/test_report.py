"""The report: base beside adapter, groups of tasks, pictures."""

from pathlib import Path

import pytest

from yofo_mlx.evaluate import Measure
from yofo_mlx.report import Report, draw, table


def measures(gain: float) -> list[Measure]:
    return [
        Measure(f"{name}-{number}", shots, gain * shots, 1.0, 4)
        for name in ("topic", "odd")
        for number in (0, 1)
        for shots in ((0, 2) if name == "odd" else (0, 2, 8))
    ]


def test_means_are_over_the_tasks_measured_at_a_number_of_shots() -> None:
    report = Report.join("run", measures(0.0), measures(0.1)).as_dict()
    assert [(row["shots"], row["base"], row["adapter"]) for row in report["by_shots"]] == [
        (0, 0.0, 0.0),
        (2, 0.0, 0.2),
        (8, 0.0, 0.8),
    ]
    assert [row["tasks"] for row in report["by_shots"]] == [4, 4, 2]
    assert [row["shots"] for row in report["tasks"]["odd-1"]] == [0, 2]


def test_numbered_tasks_share_a_line_of_the_table() -> None:
    lines = table(Report.join("run", measures(0.0), measures(0.1))).splitlines()
    assert lines[-2].split() == ["topic", "2", "8", "0.0", "80.0"]
    assert lines[-1].split() == ["odd", "2", "2", "0.0", "20.0"]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_the_picture_is_of_the_kind_its_name_says(tmp_path: Path, name: str, start: bytes) -> None:
    draw(Report.join("run", measures(0.0), measures(0.1)), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
