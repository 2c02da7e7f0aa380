"""The whole story of the app in a real terminal: what somebody does on the first day."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.walk import story
from tests.walk.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path, Path(sys.executable).parent)
    yield opened
    opened.close()


@pytest.mark.long  # two runs are trained
@pytest.mark.timeout(2400)
def test_from_the_first_start_to_two_runs_compared(shell: Shell) -> None:
    looked: list[str] = []
    story.play(shell, looked.append)
    assert "compare" in looked
