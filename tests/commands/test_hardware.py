"""`yofo doctor --report`: what is in the file, what never is, and what a Ctrl-C leaves."""

import getpass
import json
import platform
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.commands import hardware
from yofo_mlx.commands.doctor import Check
from yofo_mlx.planning import yardstick
from yofo_mlx.planning.yardstick import Left, Measured, Shape, steps

TINY = Shape("tiny", None, 2, 32, 2, 2, 48, 64)
FACTS = {
    "HOME": "/nowhere/jane-q-doe",
    "USER": "jane-q-doe",
    "LOGNAME": "jane-q-doe",
    "HOSTNAME": "janes-book.local",
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "LENGTHS", (64, 128))
    monkeypatch.setattr(yardstick, "THIN_AT", 128)
    checks = [
        Check(f"gradients, llama, {name}", True, "", {"gradients": 1e-6})
        for name in ("float32", "bfloat16", "float16")
    ]
    monkeypatch.setattr(hardware, "attention_checks", lambda config: checks)  # tested by doctor's
    monkeypatch.setattr(hardware, "exactness_checks", lambda config, lora: checks)
    monkeypatch.setattr(hardware, "SMALL", TINY)
    monkeypatch.setattr(hardware, "LARGE", TINY)


def test_a_report_has_figures_and_nothing_personal(
    yofo: Any, short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FACTS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(platform, "node", lambda: FACTS["HOSTNAME"])
    monkeypatch.setattr(platform, "release", lambda: "6.1-jane-q-doe")
    path = tmp_path / "janes-report.json"
    code, out, _ = yofo("doctor", "--report", path)
    assert code == 0 and out == f"{path}\n"
    text = path.read_text("utf-8")
    found = json.loads(text)
    assert found["complete"] and found["machine"]["memory_gb"] > 0
    assert [one["type"] for one in found["exactness"]] == ["float32", "bfloat16", "float16"]
    assert all(one["ok"] for one in found["exactness"])
    taken = [(one["tokens"], one["chunk"]) for one in found["steps"]]
    assert taken == 2 * [(64, None), (128, None), (128, yardstick.THIN.chunk)]
    assert all(one["peak_mb"] > 0 < one["forecast_mb"] for one in found["steps"])
    personal = [*FACTS.values(), "jane", str(tmp_path), str(Path.home()), socket.gethostname()]
    user = getpass.getuser()
    personal += [user] if len(user) > 4 else []  # such as root, which other words hold
    assert not [word for word in personal if word.lower() in text.lower()]


def test_ctrl_c_leaves_a_whole_file_of_what_was_measured(
    yofo: Any, short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> Iterator[Measured | Left]:
        yield Left("small", 512, "memory")
        raise KeyboardInterrupt

    monkeypatch.setattr(hardware, "_steps", interrupted)
    code, _, err = yofo("doctor", "--report", tmp_path / "cut.json")
    found = json.loads((tmp_path / "cut.json").read_text("utf-8"))
    assert code == 130 and "interrupted" in err
    assert not found["complete"] and found["left"][0]["why"] == "memory"


def test_what_cannot_be_a_report_is_refused_before_anything_is_measured(
    yofo: Any, tmp_path: Path
) -> None:
    assert yofo("doctor", "--report", tmp_path)[0] == 2
    assert yofo("doctor", "--report", tmp_path / "no" / "x.json")[0] == 2
    assert yofo("doctor", "tiny", "--report", tmp_path / "x.json")[0] == 2
    assert not (tmp_path / "x.json").exists()


def test_steps_end_where_time_or_memory_does(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(steps(TINY, 0.0, 1.0)) == [Left("tiny", 64, "time")]
    monkeypatch.setattr(yardstick, "memory_limit", lambda: type("Limit", (), {"nbytes": 1}))
    assert list(steps(TINY, 100.0, None)) == [Left("tiny", 64, "memory")]
