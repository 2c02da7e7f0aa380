"""The first hour of a new user, played in a real terminal from an empty home: no dead end.

What is typed next is what the step before told, wherever it told a command.
"""

import csv
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.walk.shell import Shell, next_of
from yofo_mlx.tasks.suite import tasks as suite
from yofo_mlx.tasks.suite.vocabulary import NAMES, TOPICS

# Minutes, and more on a machine that does other things as well.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

FEW = "--set evaluation.queries=4 --set evaluation.shots=[0,4]"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell with data of one's own."""
    write_data(tmp_path)
    opened = Shell(tmp_path, Path(sys.executable).parent)
    yield opened
    opened.close()


def write_data(folder: Path) -> None:
    """Write tickets to train on, a new task, and a file of many rows, sorted by label."""
    _write(folder / "tickets.csv", _rows("topic-07"))
    _write(folder / "new task.csv", _rows("new-topic-01"))
    _write(folder / "sorted.csv", sorted(_many_rows(), key=lambda row: row[1]))


def test_the_first_hour_has_no_dead_end(shell: Shell) -> None:
    assert next_of(shell.run("yofo runs")) == "yofo train tiny"
    train = data_become_a_recipe(shell)
    chat = a_run_is_trained_and_measured(shell, train)
    demonstrations_are_answered(shell, chat)
    a_sorted_file_is_chosen_from(shell)
    a_run_is_stopped_and_goes_on(shell, train)
    runs_are_thrown_away_and_brought_back(shell)
    the_app_shows_it_all(shell)


def data_become_a_recipe(shell: Shell, model: str = "tiny", steps: int = 12) -> str:
    """Check, preview, draft, show and plan."""
    assert "yofo" in shell.run("yofo --help")
    preview = next_of(shell.run("yofo data check tickets.csv"))
    assert preview == "yofo data preview tickets.csv"
    draft = next_of(shell.run(preview))
    assert draft == "yofo recipes new tickets.csv"
    show = next_of(shell.run(f"{draft} --model '{model}' --steps {steps}"))
    assert show == "yofo show tickets.toml"
    plan = next_of(shell.run(show))
    assert plan == "yofo plan tickets.toml"
    return next_of(shell.run(plan))


def a_run_is_trained_and_measured(shell: Shell, train: str) -> str:
    """A recipe without a held-out task ends in a table, and so do data of one's own."""
    assert train == "yofo train tickets.toml"
    evaluate = next_of(shell.run(train))
    table = shell.run(evaluate)
    assert re.search(r"^ +8 .+ 1$", table, re.MULTILINE), table
    assert "tickets.csv" in next_of(table)
    told = shell.run(f"{evaluate} --data 'new task.csv' {FEW}")
    assert re.search(r"^ +4 .+ 1$", told, re.MULTILINE), told
    listed = shell.run(f"{evaluate} --list")
    assert "new task" in listed and "tickets" in listed
    return next_of(told)


def demonstrations_are_answered(shell: Shell, chat: str) -> None:
    """Those that were measured, and pasted ones; many queries are a batch."""
    assert chat.startswith("yofo chat ") and chat.endswith(" --demos 'new task.csv'")
    assert shell.run(f"{chat} --query 'tea coffee wine' --query 'robin raven'").strip()
    shell.start(chat)
    shell.heard(r"shots?\] > ")
    shell.press("tea coffee\r")
    shell.heard(r"\(\d+ tokens?, .*\)")
    shell.press("\x04")
    shell.ended()
    shell.start("yofo chat last")
    shell.heard(r"\[0 shots\] > ")
    shell.paste("lion tiger -> Tom\nhammer drill -> Kate\nwolf deer -> Tom\n")
    shell.press("\r")
    shell.heard("3 demonstrations in the context")
    shell.press("goat pig\r")
    shell.heard(r"\(\d+ tokens?, .*\)")
    shell.press("\x04")
    shell.ended()


def a_sorted_file_is_chosen_from(shell: Shell) -> None:
    """10,003 rows, sorted by 77 labels: what is shown has all of them."""
    told = shell.run("yofo chat last --demos sorted.csv --query 'lion tiger'")
    assert re.search(r"of 10,003 chosen with seed 0, in turn from 77 labels", told), told


def a_run_is_stopped_and_goes_on(shell: Shell, train: str) -> None:
    endless = f"{train} --name long --detach --set train.steps=100000"
    watch = next_of(shell.run(endless))
    shell.start(watch)
    shell.heard(r"step +\d+ ")
    shell.press("\x03")
    assert "goes on" in shell.ended()
    told = shell.run(next_of(shell.run("yofo stop last")), code=130)
    resume = next_of(told)
    done = int(re.findall(r"stopped after step (\d+)", told)[0])
    shell.run(f"{resume} --set train.steps=1", code=2)  # it is further already
    assert next_of(shell.run(f"{resume} --set train.steps={done + 3}")).startswith("yofo eval ")
    assert "100000 before" in shell.run("yofo runs last")


def runs_are_thrown_away_and_brought_back(shell: Shell) -> None:
    restore = next_of(shell.run("yofo rm last"))
    assert "long" not in shell.run("yofo runs")
    assert next_of(shell.run("yofo restore")) == restore
    page = shell.run(next_of(shell.run(restore)))
    assert "tickets.csv" in page and "finished" in page
    assert next_of(shell.run("yofo rename last kept")) == "yofo runs kept"
    assert "kept" in shell.run("yofo runs")


def the_app_shows_it_all(shell: Shell) -> None:
    """All three places, in two sizes; the terminal is afterwards as it was before."""
    before = shell.run("stty -a")
    shell.start("yofo")
    shell.sees("kept")
    shell.press("1")
    shell.sees("3 labels")
    shell.press("2")
    shell.sees("best valid")
    shell.resize(24, 80)
    shell.press("3")
    shell.sees("Demonstrations")
    shell.press("\x1b")
    shell.press("\x11")
    shell.ended()
    shell.resize(45, 140)
    assert shell.run("stty -a") == before


def _rows(task: str) -> list[tuple[str, str]]:
    [found] = suite.find(task)
    return [(example.input, example.output) for example in found.train]


def _many_rows() -> list[tuple[str, str]]:
    """Return 10,003 rows of 77 labels."""
    words = [word for topic in TOPICS.values() for word in topic]
    pairs = [" ".join(pair) for pair in product(words, words)][:10_003]
    return [(pair, NAMES[index % 77]) for index, pair in enumerate(pairs)]


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "intent"), *rows])
