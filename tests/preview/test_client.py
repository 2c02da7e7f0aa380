"""The process that reads and plans, and its askers: results, progress, errors, its end."""

import threading
from pathlib import Path

import pytest

from yofo_mlx.errors import Cancelled, DataError, RunError
from yofo_mlx.preview import client as asking
from yofo_mlx.preview.client import PreviewClient


@pytest.fixture
def client() -> PreviewClient:
    return PreviewClient()


def test_one_process_answers_call_after_call_and_tells_how_far_it_is(
    client: PreviewClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("input,output\nx,y\nz,\n")
    told: list[tuple[str, int, int]] = []
    (found,) = client.call("read", lambda *far: told.append(far), source={"source": "a.csv"})[
        "sets"
    ]
    assert (found["name"], found["errors"]) == ("a", 1)
    assert told
    first = client._session
    (absent,) = client.call("read", source={"source": "nowhere.csv"})["sets"]
    assert absent["errors"] == 1
    with pytest.raises(RunError, match="no method"):
        client.call("dance")
    assert client._session is first
    client.stop()


def test_a_process_that_is_stopped_or_dies_is_told_and_the_next_call_has_another(
    client: PreviewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = [*asking.PREVIEW[:2], "-c", "import sys; sys.stdin.read()"]
    monkeypatch.setattr(asking, "PREVIEW", silent)
    said: list[object] = []

    def ask() -> None:
        try:
            client.call("read", source={})
        except Cancelled as error:
            said.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while client._session is None or not client._session.is_alive:
        pass
    client.stop()
    thread.join(10)
    assert len(said) == 1
    dying = [*asking.PREVIEW[:2], "-c", "import os; os.kill(os.getpid(), 9)"]
    monkeypatch.setattr(asking, "PREVIEW", dying)
    with pytest.raises(RunError, match="the process that reads ended: killed by SIGKILL"):
        client.call("read", source={})
    monkeypatch.undo()
    with pytest.raises((DataError, RunError)):
        client.call("read", source={"source": 3})
    client.stop()
