"""The first hour of a new user, played in a real terminal from an empty home: no dead end."""

import csv
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from shell import Shell, next_of, quoted

from yofo_mlx.tiny import suite
from yofo_mlx.tiny.words import NAMES, TOPICS

pytestmark = pytest.mark.timeout(1200)

REPOSITORY = Path(__file__).parents[2]
SMALL = "--set train.steps=12 --set episodes.max_tokens=256"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell with data of one's own: tickets to train on, a new task, a sorted file of it all."""
    _write(tmp_path / "tickets.csv", _rows("topic-07"))
    _write(tmp_path / "new task.csv", _rows("new-topic-01"))
    _write(tmp_path / "sorted.csv", sorted(_many_rows(), key=lambda row: row[1]))
    opened = Shell(tmp_path, Path(sys.executable).parent)
    yield opened
    opened.close()


def test_the_first_hour_has_no_dead_end(shell: Shell) -> None:
    recipe = data_become_a_recipe(shell)
    the_recipe_becomes_a_run(shell, recipe)
    the_run_is_measured(shell)
    demonstrations_of_ones_own_are_answered(shell)
    a_sorted_file_is_chosen_from(shell)
    a_run_is_stopped_and_goes_on(shell, recipe)
    runs_are_thrown_away_and_brought_back(shell)
    the_app_shows_it_all(shell)


def data_become_a_recipe(shell: Shell) -> str:
    """Check, preview and draft, each step told by the one before."""
    assert "yofo" in shell.run("yofo --help")
    next_of(shell.run("yofo data check tickets.csv"))
    draft = next_of(shell.run("yofo data preview tickets.csv"))
    assert draft.startswith("yofo recipes new tickets.csv")
    show = next_of(shell.run(f"{draft} --model tiny"))
    assert show.startswith("yofo show ")
    return show.removeprefix("yofo show ")


def the_recipe_becomes_a_run(shell: Shell, recipe: str) -> None:
    plan = next_of(shell.run(f"yofo show {recipe}"))
    assert plan == f"yofo plan {recipe}"
    train = next_of(shell.run(plan))
    assert train == f"yofo train {recipe}"
    assert next_of(shell.run(f"{train} {SMALL}")).startswith("yofo eval ")


def the_run_is_measured(shell: Shell) -> None:
    """The recipe without a held-out task ends in a table, and so does data of one's own."""
    few = "--set evaluation.queries=4 --set evaluation.shots=[0,4]"
    assert "adapter" in shell.run(f"yofo eval last {few}")
    told = shell.run(f"yofo eval last --data 'new task.csv' {few}")
    assert re.search(r"^ +4 +\d", told, re.MULTILINE)
    assert next_of(told).startswith("yofo chat ")
    assert "new task" in shell.run("yofo eval last --list")


def demonstrations_of_ones_own_are_answered(shell: Shell) -> None:
    asked = "--query 'tea coffee wine' --query 'robin raven'"
    assert shell.run(f"yofo chat last --demos 'new task.csv' {asked}")
    shell.start("yofo chat last")
    shell.heard("> ")
    shell.paste("lion tiger -> Tom\nhammer drill -> Kate\nwolf deer -> Tom\n")
    shell.heard("3 demonstrations in the context")
    shell.press("great film\r")
    shell.heard("great, film")
    shell.press("\x04")
    shell.ended()


def a_sorted_file_is_chosen_from(shell: Shell) -> None:
    """10,003 rows, 77 labels, sorted: all of them are shown, or those that are not are named."""
    told = shell.run("yofo chat last --demos sorted.csv --query 'lion tiger'")
    assert "10,003" in told and "seed" in told and "tokens" in told
    assert "77" in told


def a_run_is_stopped_and_goes_on(shell: Shell, recipe: str) -> None:
    shell.run(f"yofo train {recipe} --name long --detach --set train.steps=100000")
    shell.run("yofo stop last")
    assert next_of(shell.run("yofo watch last", code=130)).startswith("yofo resume ")
    shell.run("yofo resume last --set train.steps=20", code=2)  # it is further already
    told = shell.run("yofo runs last")
    assert "tickets.csv" in told and "100,000" in told


def runs_are_thrown_away_and_brought_back(shell: Shell) -> None:
    restore = next_of(shell.run("yofo rm last"))
    assert restore.startswith("yofo restore ")
    assert "long" not in shell.run("yofo runs")
    shell.run(restore)
    shell.run("yofo rename last kept")
    assert "kept" in shell.run("yofo runs")


def the_app_shows_it_all(shell: Shell) -> None:
    shell.start("yofo")
    shell.sees("kept")
    shell.press("1")
    shell.sees("tickets")
    shell.press("\x1bOR")  # F3
    shell.sees("kept")
    shell.resize(24, 80)
    shell.press("3")
    shell.sees("question")
    shell.press("\x1b")
    shell.press("\x11")
    shell.ended()


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
        csv.writer(file).writerows([("utterance", "intent"), *rows])


def quoted_path(path: Path) -> str:
    """Return a path as a word of a command line."""
    return quoted(path)
