"""The whole story in the app, played in a real terminal: from the first start to two runs compared.

The test of it and the script that records it press the same keys. `look` is told the name of each
moment that is worth a picture.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.walk.shell import Shell
from yofo_mlx.tasks.suite.vocabulary import TOPICS

Look = Callable[[str], object]

LABELS = {"animals": "Tom", "tools": "Kate", "fruit": "Rosa"}
QUESTIONS = {"goat pig": "Tom", "hammer saw": "Kate", "plum cherry": "Rosa"}
ROWS, WRONG = 24, 13  # demonstrations, and the one that the others contradict
PROBLEMS = {
    "delivery": ("my parcel has not come", "my order is late", "it went to the wrong door"),
    "refund": ("i want my money back for", "the refund is late for", "i sent back"),
    "account": ("i cannot log in since", "my name is wrong in", "please close my account of"),
}
LONG = 600.0  # seconds, for what trains on a busy machine


def play(shell: Shell, look: Look) -> None:
    """Play it all, from an empty home."""
    write_tickets(shell.home / "tickets.csv")
    the_first_start_tells_what_to_begin_with(shell, look)
    a_demo_outlives_the_app(shell, look)
    demonstrations_are_answered_by_base_and_adapter(shell, look)
    a_suspicious_row_is_dropped_and_the_set_saved(shell, look)
    another_run_is_made(shell, look)
    data_are_added_while_it_runs(shell, look)
    two_runs_are_compared(shell, look)
    the_app_is_quit(shell)


def the_first_start_tells_what_to_begin_with(shell: Shell, look: Look) -> None:
    shell.start("yofo")
    shell.sees("Run the demo")
    shell.sees("to download")  # which models fit this machine
    look("first-start")


def a_demo_outlives_the_app(shell: Shell, look: Look) -> None:
    """Begun on a key, watched, the app quit and opened again, watched to the end, evaluated."""
    shell.press("d")
    shell.sees("● running")
    shell.sees("left · ends", LONG)
    look("")
    shell.press("q")
    assert "1 run goes on: " in shell.ended(seconds=30)
    shell.start("yofo")
    shell.sees("● running")
    shell.sees("by shots  ◆", LONG)  # the first validation
    shell.press("\r")
    shell.misses("started")  # the list
    shell.sees("by shots  ━", LONG)  # another: how scores develop
    look("run")
    shell.press("\x1b")
    shell.sees("started")
    shell.sees("✓ finished", LONG)
    shell.press("e")
    shell.sees("Evaluates")
    shell.sees("╌ base", LONG)
    look("runs")


def demonstrations_are_answered_by_base_and_adapter(shell: Shell, look: Look) -> None:
    """Pasted, read, and asked of both, side by side."""
    shell.press("p")
    shell.sees("Paste labelled examples")
    shell.sees("adapter")
    shell.paste("".join(f"{words} -> {label}\n" for words, label in demonstrations()))
    shell.sees(f"{ROWS} demonstrations")
    shell.press("b")
    shell.sees("base model")
    shell.press("\r")
    shell.sees("enter asks both")
    for asked, (question, answer) in enumerate(QUESTIONS.items(), start=1):
        shell.press(f"{question}\r")
        shell.sees(f"{asked} asked", LONG)
        shell.sees(f"▏ {answer} ")
    look("prompt")


def a_suspicious_row_is_dropped_and_the_set_saved(shell: Shell, look: Look) -> None:
    """One that the others contradict is marked; the shell knows the set by its name, too.

    How many are, hangs on the last bits of what was trained: the one that `n` leads to is dropped.
    """
    shell.press("\x1b")
    shell.sees("enter leads here")
    shell.press("e")
    shell.sees("Drop suspicious")
    shell.sees("◀?")
    shell.press("n")
    look("")
    shell.press("D")
    shell.sees(f"{ROWS - 1} ")
    shell.press("S")
    shell.sees("Save as a set")
    shell.press("nouns\r")
    shell.sees("Saved")
    shell.sees(f"{ROWS - 1} shots · nouns")
    look("")


def another_run_is_made(shell: Shell, look: Look) -> None:
    """With a lower rate and fewer tokens than the demo."""
    shell.press("2")
    shell.sees("✓ finished")
    shell.press("n")
    shell.sees("what will be written")
    set_key(shell, "optimizer.learning_rate", "1e-3")
    set_key(shell, "train.tokens", "40000")
    shell.press("/")
    shell.sees("find a key")
    shell.press("\x1b")  # all keys again
    shell.sees("optimizer.schedule")
    shell.misses("reading …")
    shell.sees("fits ✓")
    shell.sees("trained")  # an episode, its targets green
    look("new-run")
    shell.press("\x13")
    shell.misses("what will be written")
    shell.sees("● running")


def set_key(shell: Shell, key: str, value: str) -> None:
    shell.press("/")
    shell.sees("find a key")
    shell.press(key)
    shell.misses("template.output")  # other keys
    shell.press("\r")
    shell.misses("find a key")
    shell.press("\r")
    shell.sees("⏎ Done")
    shell.press(f"{value}\r")
    shell.sees(f"• {key}")


def data_are_added_while_it_runs(shell: Shell, look: Look) -> None:
    shell.press("1")
    shell.sees("a Add")
    shell.press("a")
    shell.sees("path or hub id")
    shell.press("tickets.csv")
    shell.sees("▸ output")
    look("mapper")
    shell.press("\x13")
    shell.sees("tokens a row, of")
    shell.sees("median")
    look("data")


def two_runs_are_compared(shell: Shell, look: Look) -> None:
    shell.press("2")
    shell.sees("left · ends", LONG)
    look("")
    shell.misses("● running", LONG)
    shell.press("=")
    shell.sees("what differs in the recipes")
    shell.sees("optimizer.learning_rate")
    look("compare")
    shell.press("\x1b")
    shell.sees("started")


def the_app_is_quit(shell: Shell) -> None:
    """Answers were kept nowhere: it asks first."""
    shell.press("q")
    shell.sees("lost")
    shell.press("y")
    shell.ended(seconds=30)
    assert f"{ROWS - 1}" in shell.run("yofo demos list")


def demonstrations() -> list[tuple[str, str]]:
    """Return rows of three labels in turn; one label is wrong."""
    random = Random(3)
    words = {topic: random.sample(TOPICS[topic], 14) for topic in LABELS}
    rows = []
    for place in range(ROWS):
        topic = random.choice([*LABELS]) if place % 3 else [*LABELS][place // 3 % 3]
        rows.append((" ".join(random.sample(words[topic], 2)), LABELS[topic]))
    text, label = rows[WRONG]
    rows[WRONG] = text, next(other for other in LABELS.values() if other != label)
    return rows


def write_tickets(path: Path) -> None:
    """Write rows of which two columns are an input and an output."""
    random = Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["day", "utterance", "intent", "agent"])
        for number in range(120):
            intent = random.choice([*PROBLEMS])
            words = f"{random.choice(PROBLEMS[intent])} order {random.randrange(1000, 9999)}"
            writer.writerow([f"2026-05-{1 + number % 28:02}", words, intent, random.choice("abc")])
