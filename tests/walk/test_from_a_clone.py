"""The first hour once more, in full: from a clone, by way of the demo, to a real model.

Everything it needs is installed from the package registry, as for anybody who begins.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.walk.shell import Shell, next_of
from tests.walk.test_first_hour import (
    a_run_is_stopped_and_goes_on,
    a_run_is_trained_and_measured,
    a_sorted_file_is_chosen_from,
    data_become_a_recipe,
    demonstrations_are_answered,
    runs_are_thrown_away_and_brought_back,
    the_app_shows_it_all,
    write_data,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = REPOSITORY / "out" / "smollm2"
BANKING = REPOSITORY.parent / "shared" / "data" / "banking77"
HOUR = 3600.0


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in an empty home, where Python is, and nothing of ours."""
    home = tmp_path_factory.mktemp("home")
    write_data(home)
    opened = Shell(home, Path(sys.base_prefix) / "bin")
    yield opened
    opened.close()


def test_the_demo_tells_what_to_do_next_and_that_works(shell: Shell) -> None:
    shell.run(f"git clone -q '{REPOSITORY}' yofo && cd yofo")
    told = shell.run("make demo", seconds=HOUR)
    told = told[told.index("Exact match on held-out tasks") :]
    words = told[told.index("Next, ask it yourself") :]
    chat = next(re.finditer(r"^ +(\.venv/bin/yofo chat .+--query.+)$", words, re.MULTILINE))[1]
    first, second = re.findall(r"answers (\w+) and (\w+)", words)[0]
    assert re.findall(rf"^({first}|{second})$", shell.run(chat), re.MULTILINE) == [first, second]
    paste_what_it_shows(shell, words)
    shell.run(next_of(told).partition(" --demos ")[0] + " --query 'lion tiger'")
    shell.run(". .venv/bin/activate")
    shell.run("yofo recipes list")
    shell.run("cd ..")


def paste_what_it_shows(shell: Shell, words: str) -> None:
    """Paste the demonstrations of the demo's last words and ask its question."""
    pairs = re.findall(r"\b([a-z]+ [a-z]+ -> \w+)$", words, re.MULTILINE)
    [question] = re.findall(r"and ask +(.+)$", words, re.MULTILINE)
    [command] = re.findall(r"^ +(\.venv/bin/yofo chat last) +and paste", words, re.MULTILINE)
    shell.start(command)
    shell.heard(r"\[0 shots\] > ")
    shell.paste("\n".join(pairs))
    shell.press("\r")
    shell.heard(f"{len(pairs)} demonstrations in the context")
    shell.press(f"{question}\r")
    shell.heard(r"Tom\s+\(\d+ tokens?, ")  # as their animals, not as their tools
    shell.press("\x04")
    shell.ended()


def test_then_comes_the_first_hour(shell: Shell) -> None:
    train = data_become_a_recipe(shell)
    demonstrations_are_answered(shell, a_run_is_trained_and_measured(shell, train))
    a_sorted_file_is_chosen_from(shell)
    a_run_is_stopped_and_goes_on(shell, train)
    runs_are_thrown_away_and_brought_back(shell)
    the_app_shows_it_all(shell)


@pytest.mark.skipif(not MODEL.is_dir(), reason="there is no real model: make real-model")
def test_and_the_same_with_a_real_model(shell: Shell) -> None:
    shell.run("rm tickets.toml")
    train = data_become_a_recipe(shell, str(MODEL), steps=2)
    demonstrations_are_answered(shell, a_run_is_trained_and_measured(shell, train))


@pytest.mark.skipif(not MODEL.is_dir(), reason="there is no real model: make real-model")
@pytest.mark.skipif(
    not BANKING.is_dir(), reason="Banking77 is not beside this checkout (../shared/data)"
)
def test_a_hundred_shots_of_a_real_sorted_file_have_all_its_labels(shell: Shell) -> None:
    ask = "--shots 100 --query 'my new card has not come yet'"
    told = shell.run(f"yofo chat --model '{MODEL}' --demos '{BANKING}/train.csv' {ask}")
    assert re.search(r"100 of [\d,]+ chosen with seed 0, in turn from 77 labels", told), told
    assert "100 demonstrations in the context" in told
