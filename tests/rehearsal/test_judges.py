"""Who accepts which answer, without any model."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from yofo_mlx.rehearsal import limited
from yofo_mlx.rehearsal.judges import accepts
from yofo_mlx.tasks.registry import TaskEntry
from yofo_mlx.tasks.task import Example, Task

ENTRY = TaskEntry(Task("t", "classification", ()), "train", "exact", None, 1.0, "")
LABELS = replace(ENTRY, separator=", ")
WORKED = replace(ENTRY, answer_after="####")


@pytest.mark.parametrize(
    "judge, entry, answer, expected, accepted",
    [
        ("label", ENTRY, "joy ", "joy", True),
        ("label", ENTRY, "Joy", "joy", False),
        ("label", ENTRY, "joy, fear", "joy", False),
        ("label", LABELS, "fear, joy", "joy, fear", True),
        ("label", LABELS, "joy", "joy, fear", False),
        ("label", LABELS, "joy, fear, awe", "joy, fear", False),
        ("number", WORKED, "so that makes 1,000 in all.", "500 + 500 = 1000\n#### 1000", True),
        ("number", WORKED, "1000 and then 12", "500 + 500 = 1000\n#### 1000", False),
        ("exact", ENTRY, "the end", "The end", False),
        ("normalised", ENTRY, "End!", "The end.", True),
        ("normalised", ENTRY, "the end of it", "The end.", False),
        ("exact", ENTRY, " ", "", False),
        ("normalised", ENTRY, "", "the", False),
    ],
)
def test_a_judge_accepts_what_says_the_same(
    judge: str, entry: TaskEntry, answer: str, expected: str, accepted: bool
) -> None:
    assert accepts(judge, entry, Example("q", expected), answer) is accepted


def test_an_expected_answer_is_taken_as_a_model_can_write_it() -> None:
    def said(text: str) -> str:  # of a tokenizer that knows no capitals, behind an end of a line
        return text.partition("\n")[0].lower()

    for judge, entry, answer, expected in (
        ("label", ENTRY, "joy", "Joy\nof all"),
        ("label", LABELS, "fear, joy", "Joy, Fear"),
        ("exact", ENTRY, "the end", "The End\n"),
    ):
        assert not accepts(judge, entry, Example("q", expected), answer)
        assert accepts(judge, entry, Example("q", expected), answer, said=said)


def program(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "check.py"
    path.write_text(text)
    return sys.executable, str(path)


def test_a_command_gets_the_row_as_json_in_a_folder_of_its_own(tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    command = program(
        tmp_path,
        "import json, os, sys\n"
        "row = json.load(sys.stdin)\n"
        f"open({str(seen)!r}, 'w').write(json.dumps([row, os.getcwd(), dict(os.environ)]))\n"
        "sys.exit(row['answer'] != '2; rm -rf $HOME `id`')\n",
    )
    example = Example("1 + 1", "2")
    assert accepts("command", ENTRY, example, "2; rm -rf $HOME `id`", command)
    row, folder, environment = json.loads(seen.read_text())
    assert row == {"input": "1 + 1", "answer": "2; rm -rf $HOME `id`", "expected": "2"}
    assert not Path(folder).exists() and environment["HOME"] == folder
    assert environment.keys() <= {*limited.KEPT, "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
    assert not accepts("command", ENTRY, example, "3", command)


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    late = f"import time; time.sleep(1); open({str(alive)!r}, 'w')"
    command = program(
        tmp_path,
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {late!r}])\n"
        "time.sleep(60)\n",
    )
    script = f"from yofo_mlx.rehearsal import limited; print(limited.run({list(command)!r}, 0.5))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout == "124\n"
    time.sleep(1.2)
    assert not alive.exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit addresses")
def test_a_command_that_takes_too_much_memory_accepts_nothing(tmp_path: Path) -> None:
    command = program(tmp_path, "x = bytearray(3 * 2**30)\n")
    assert not accepts("command", ENTRY, Example("q", "a"), "a", command)
