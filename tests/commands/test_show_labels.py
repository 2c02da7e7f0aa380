"""`yofo show` of recipes whose labels vary: groups as tasks, words for labels named."""

import json
from pathlib import Path
from typing import Any

import pytest

RECIPE = """
model = "tiny"
train.steps = 1
episodes = { max_tokens = 256, label_subset = [2, 3], rename_labels = 1.0 }

[[tasks]]
name = "clinc"
source = "rows.csv"
instruction = "Name the intent."
groups = { bank = ["pay", "owe", "send"], trip = ["visa", "fly"] }
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "farmer relay anchor wolf harbour chess drum desk".split()
    labels = ("pay", "owe", "send", "visa", "fly")
    rows = [f"{words[n % 8]} {words[n // 8]},{labels[n % 5]}" for n in range(60)]
    Path("rows.csv").write_text("\n".join(["input,output", *rows]))
    Path("mine.toml").write_text(RECIPE)


def test_an_episode_of_words_for_labels_is_shown_with_what_they_stand_for(yofo: Any) -> None:
    code, text, _ = yofo("show", "mine.toml")
    assert code == 0 and "Name the intent." not in text
    [line] = [line for line in text.splitlines() if "arbitrary words" in line]
    names = json.loads(yofo("show", "mine.toml", "--json")[1])["episode"]["renamed"]
    assert 2 <= len(names) <= 3
    assert line.endswith(", ".join(f"{label} is {word}" for label, word in names.items()))
    assert any(f"[[ {word}" in text for word in names.values())
    assert not any(f"[[ {label}" in text for label in names)


def test_groups_are_tasks_wherever_tasks_are_listed(yofo: Any) -> None:
    shown = json.loads(yofo("show", "mine.toml", "--json")[1])
    assert [task["task"] for task in shown["tasks"]] == ["clinc-bank", "clinc-trip"]
    read = json.loads(yofo("data", "preview", "mine.toml", "--json")[1])
    assert [sorted(one["labels"]) for one in read] == [["owe", "pay", "send"], ["fly", "visa"]]
    code, text, _ = yofo("recipes", "check", "mine.toml")
    assert code == 0 and 'trip = ["visa", "fly"]' in text and "rename_labels = 1.0" in text


def test_a_label_that_is_nowhere_is_refused_by_every_verb_in_two_lines(yofo: Any) -> None:
    Path("mine.toml").write_text(RECIPE.replace('"visa"', '"visas"'))
    for verb in ("show", "plan", "train"):
        code, _, err = yofo(verb, "mine.toml")
        told = [line for line in err.splitlines() if not line.startswith(("reading", "tokenising"))]
        assert code == 3 and len(told) == 2
        assert "'visas' (trip), did you mean 'visa'?" in told[0]
    assert yofo("data", "check", "mine.toml")[0] == 3
    assert not [*Path().glob("runs*")]


def test_a_subset_of_too_many_labels_is_refused_by_every_verb_and_begins_no_run(yofo: Any) -> None:
    Path("mine.toml").write_text(RECIPE.replace("[2, 3]", "[3, 9]"))
    for words in (["show"], ["plan"], ["train"], ["train", "--detach"]):
        code, _, err = yofo(*words[:1], "mine.toml", *words[1:])
        told = [line for line in err.splitlines() if not line.startswith(("reading", "tokenising"))]
        assert code == 2 and len(told) == 2
        assert told[0].endswith("clinc-trip has 2, not 3")
    code, text, _ = yofo("data", "check", "mine.toml")
    assert code == 3 and "asks for 3 labels, and clinc-trip has 2" in text
    assert not [*Path().glob("**/runs/*")]
