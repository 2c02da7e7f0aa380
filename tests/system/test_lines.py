"""A file of lines that only grows, whatever ends its writer."""

import errno
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.errors import RunError
from yofo_mlx.system import lines
from yofo_mlx.system.lines import GrowingFile

HELD = RunError("held")


@draws(40)
@given(st.lists(st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"_"))), st.integers(0, 40))
def test_whole_lines_stay_and_a_torn_one_goes(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file"
    whole = b"".join(text + b"\n" for text in texts)[:cut]
    path.write_bytes(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_BLOCK", 4)
        with GrowingFile(path, HELD) as file:
            kept = whole[: whole.rfind(b"\n") + 1]
            assert list(file) == kept.split(b"\n")[:-1]
            file.add(b"more\n")
            assert list(file) == [*kept.split(b"\n")[:-1], b"more"]
    assert path.read_bytes() == kept + b"more\n"


def test_what_a_full_disk_takes_in_part_is_taken_back(tmp_path: Path) -> None:
    with GrowingFile(tmp_path / "file", HELD) as file:
        file.add(b"one\n")
        raw: Any = file._file

        class Full:
            def __init__(self) -> None:
                self.left = 3

            def write(self, data: Any) -> int:
                if not self.left:
                    raise OSError(errno.ENOSPC, "full")
                written, self.left = raw.write(bytes(data)[: self.left]), 0
                return int(written)

            def __getattr__(self, name: str) -> Any:
                return getattr(raw, name)

        file._file = Full()  # type: ignore[assignment]
        with pytest.raises(OSError, match="full"):
            file.add(b"second\n")
        file._file = raw
        file.add(b"third\n")
        assert list(file) == [b"one", b"third"]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with GrowingFile(tmp_path / "file", HELD) as file:
        file.add(b"one\n")
        with pytest.raises(RunError, match="held"), GrowingFile(tmp_path / "file", HELD):
            pass
        assert list(file) == [b"one"]
