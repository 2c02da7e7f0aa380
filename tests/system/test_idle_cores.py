"""Cores that others leave free, from two looks at the kernel's counts."""

from pathlib import Path

import pytest

from yofo_mlx.system import idle_cores
from yofo_mlx.system.idle_cores import Look


@pytest.mark.parametrize(
    ("idle", "own", "free"),
    [
        (0.0, 10.0, 1),  # all others are busy
        (30.0, 10.0, 4),  # one core is our own
        (14.0, 10.0, 2),
        (16.0, 10.0, 3),
        (70.0, 10.0, 6),  # eight, of which we may use six
    ],
)
def test_what_is_idle_and_what_we_had_is_ours_to_use(
    idle: float, own: float, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_cores, "usable_cores", lambda: 6)
    before = Look(100.0, 5000.0, 3.0)
    now = Look(110.0, 5000.0 + idle, 3.0 + own)
    assert idle_cores.idle_cores(before, now) == free


def test_nothing_is_concluded_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, soon = Look(0.0, 0.0, 0.0), Look(0.1, 0.8, 0.1)
    assert idle_cores.idle_cores(None, busy) == idle_cores.idle_cores(busy, None) == 1
    assert idle_cores.idle_cores(busy, soon) == 1
    (tmp_path / "stat").write_text("cpu  1 2 3 400 50 6\ncpu0 ...\n")
    monkeypatch.setattr(idle_cores, "STAT", tmp_path / "stat")
    found = idle_cores.look()
    assert found is not None and found.idle == pytest.approx(450 / 100)
    (tmp_path / "stat").write_text("something else")
    assert idle_cores.look() is None
    monkeypatch.setattr(idle_cores, "STAT", tmp_path / "none")
    assert idle_cores.look() is None


def test_a_quota_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_cores, "QUOTA", tmp_path / "cpu.max")
    cores = idle_cores.usable_cores()
    assert cores >= 1
    for text, expected in (("max 100000", cores), ("150000 100000", 1), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(text)
        assert idle_cores.usable_cores() == expected
