"""What a control group allows and has left, as both versions of Linux's interface tell it."""

from pathlib import Path

import pytest

from yofo_mlx.system import control_group, main_memory, memory
from yofo_mlx.system.footprint import footprint

GB = 10**9
UNLIMITED = 2**63 - 4096  # what version 1 tells of a group without a limit


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(f"{text}\n")


def seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, membership: str
) -> tuple[list[int], list[int]]:
    """Return limits and what is free as a process of these groups sees them."""
    told = tmp_path / "membership"
    told.write_text(membership)
    monkeypatch.setattr(control_group, "MOUNT", tmp_path)
    monkeypatch.setattr(control_group, "MEMBERSHIP", told)
    return list(control_group.limits()), list(control_group.free(64 * GB))


def test_of_version_2_the_group_and_those_around_it_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = f"anon {GB}\ninactive_file {GB}\nactive_file {GB // 2}\nshmem 5"
    group(tmp_path / "a" / "b", max=f"{4 * GB}", high="max", current=f"{3 * GB}", stat=stat)
    group(tmp_path / "a", max="max", high=f"{6 * GB}", current=f"{5 * GB}", stat="inactive_file 0")
    limits, free = seen(monkeypatch, tmp_path, "0::/a/b\n")
    assert limits == [4 * GB, 6 * GB]
    assert free == [5 * GB // 2, GB]


def test_of_version_1_a_group_without_a_limit_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = f"inactive_file 1\ntotal_inactive_file {GB}\ntotal_active_file 0"
    own = tmp_path / "memory" / "box"
    group(own, limit_in_bytes=f"{2 * GB}", usage_in_bytes=f"{2 * GB}", stat=stat)
    group(tmp_path / "memory", limit_in_bytes=f"{UNLIMITED}", usage_in_bytes="9", stat=stat)
    limits, free = seen(monkeypatch, tmp_path, "9:cpu,cpuacct:/x\n4:memory:/box\n0::/\n")
    assert limits == [2 * GB, UNLIMITED] and free == [GB]


def test_inside_a_container_its_group_is_the_outermost_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group(tmp_path, max=f"{3 * GB}", current=f"{GB}", stat="")
    assert seen(monkeypatch, tmp_path, "0::/system.slice/docker-1\n") == ([3 * GB], [2 * GB])


@pytest.mark.parametrize("membership", ["", "nonsense\n", "0::\n", "4:memory\n"])
def test_what_is_not_understood_is_no_limit(
    membership: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group(tmp_path, max="garbage", current="", stat="")
    assert seen(monkeypatch, tmp_path, membership) == ([], [])


def test_the_limit_is_what_is_free_but_for_a_reserve_where_that_is_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "main_memory", lambda: 100 * GB)
    monkeypatch.setattr(memory, "free_memory", lambda: 30 * GB)
    now = memory.limit_now()
    assert now.nbytes == pytest.approx(25 * GB, abs=GB) and "free now" in now.source
    assert memory.limit_now(12.0) == memory.MemoryLimit(12 * GB, "memory.limit_gb")
    assert memory.limit_now(90.0).source == now.source
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    assert memory.limit_now() == memory.memory_limit()
    monkeypatch.setattr(memory, "free_memory", lambda: 0)
    assert memory.limit_now().nbytes < GB


def test_the_machine_tells_what_is_free_and_what_this_process_takes() -> None:
    free = main_memory.free_memory()
    assert free is None or 0 < free <= main_memory.main_memory()
    assert 10**7 < footprint() < main_memory.main_memory()
