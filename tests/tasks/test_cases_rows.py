"""Rows that once went wrong without a word: each case is read right now, or told."""

import csv
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from yofo_mlx.commands import data
from yofo_mlx.commands.data_request import DataRequest
from yofo_mlx.errors import ExitCode
from yofo_mlx.prompting import demonstrations
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.tasks.checks import check
from yofo_mlx.tasks.registry import TaskEntry, load_tasks
from yofo_mlx.tasks.sources import LoadedSource, load
from yofo_mlx.tasks.task import Example

Turn = dict[str, Any]


def jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, **keys: Any) -> LoadedSource:
    [loaded] = load(TaskSource(source=str(path), **keys), path.parent)
    return loaded


def entry(path: Path, **keys: Any) -> TaskEntry:
    [found] = load_tasks([TaskSource(source=str(path), **keys)], 0, path.parent)
    return found


def pairs(loaded: LoadedSource) -> list[tuple[str, str]]:
    return [(item.example.input, item.example.output) for item in loaded.all_items()]


def told(loaded: LoadedSource) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in check(loaded)]


def chat(question: str, answer: str, system: str = "", **answered: Any) -> dict[str, list[Turn]]:
    start = [{"role": "system", "content": system}] if system else []
    user = {"role": "user", "content": question}
    return {"messages": [*start, user, {"role": "assistant", "content": answer, **answered}]}


# ---- system-per-row ------------------------------------------------------------------------------


def test_a_system_text_of_its_own_is_part_of_a_rows_input(tmp_path: Path) -> None:
    """system-per-row: texts that differ by row change the right answer."""
    rows = [chat("good morning", "guten Morgen", "Answer in German.")]
    rows += [chat("good evening", "bonsoir", "Answer in French."), chat("hello", "hi")]
    loaded = read(jsonl(tmp_path / "a.jsonl", rows))
    assert pairs(loaded) == [
        ("Answer in German.\n\ngood morning", "guten Morgen"),
        ("Answer in French.\n\ngood evening", "bonsoir"),
        ("hello", "hi"),
    ]
    assert loaded.instruction == "" and told(loaded) == []


def test_a_system_text_is_told_apart_across_splits(tmp_path: Path) -> None:
    """system-per-row: shared within train and another one in test is not shared."""
    jsonl(tmp_path / "train.jsonl", [chat(f"q{n}", "a", "Rhyme.") for n in range(3)])
    jsonl(tmp_path / "test.jsonl", [chat("q0", "b", "Spell.")])
    task = entry(tmp_path / ".", valid_share=0.0).task
    assert task.train[0].input == "Rhyme.\n\nq0" and task.test[0].input == "Spell.\n\nq0"
    assert task.instruction == "" and len(task.train) == 3  # the same question is no leak


def test_a_shared_system_text_and_the_recipes_instruction_are_both_kept(tmp_path: Path) -> None:
    """system-per-row: neither takes the other's place."""
    path = jsonl(tmp_path / "a.jsonl", [chat(f"q{n}", "a", "Be kind.") for n in range(9)])
    assert entry(path, instruction="Answer.").task.instruction == "Be kind.\n\nAnswer."
    assert entry(path, instruction="Be kind.").task.instruction == "Be kind."
    assert entry(path).task.train[0].input.startswith("q")


def test_the_system_field_of_a_row_is_its_system_text(tmp_path: Path) -> None:
    """system-per-row: ShareGPT and Alpaca rows keep it beside the conversation."""
    turns = [{"from": "human", "value": "one"}, {"from": "gpt", "value": "1"}]
    shared = read(jsonl(tmp_path / "a.jsonl", [{"conversations": turns, "system": "Count."}]))
    assert shared.instruction == "Count."
    alpaca = [
        {"instruction": "Add.", "input": f"{n}", "output": f"{n}", "system": f"In base {n}."}
        for n in (2, 3)
    ]
    assert pairs(read(jsonl(tmp_path / "b.jsonl", alpaca)))[0] == ("In base 2.\n\nAdd.\n\n2", "2")


# ---- alpaca-optional-input -----------------------------------------------------------------------


def test_each_alpaca_row_keeps_the_input_it_has(tmp_path: Path) -> None:
    """alpaca-optional-input: the first row, which has none, does not decide for all."""
    rows = [
        {"instruction": "Name a colour.", "output": "blue"},
        {"instruction": "Translate.", "input": "cat", "output": "chat"},
        {"instruction": "Name a fruit.", "input": None, "output": "pear"},
        {"instruction": "Name a tree.", "input": "", "output": "oak"},
    ]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    expected = ["Name a colour.", "Translate.\n\ncat", "Name a fruit.", "Name a tree."]
    assert [question for question, _ in pairs(read(path))] == expected
    assert read(path).problems == []
    assert [e.input for e in demonstrations.read(str(path)).examples] == expected


@pytest.mark.parametrize(
    ("asks", "answers"),
    [("instruction", "response"), ("question", "answer"), ("query", "response")],
)
def test_a_context_is_kept_where_a_row_has_one(tmp_path: Path, asks: str, answers: str) -> None:
    """alpaca-optional-input: the same for the other forms with a field that rows may lack."""
    rows = [{asks: "Who?", answers: "me"}, {asks: "Where?", "context": "Room 4.", answers: "4"}]
    found = pairs(read(jsonl(tmp_path / "a.jsonl", rows)))
    assert found == [("Who?", "me"), ("Room 4.\n\nWhere?", "4")]


def test_a_template_may_name_a_field_that_rows_lack(tmp_path: Path) -> None:
    """alpaca-optional-input: `{name?}` says the same in a recipe."""
    path = jsonl(tmp_path / "a.jsonl", [{"q": "a", "r": "b"}, {"q": "c", "more": "d", "r": "e"}])
    found = pairs(read(path, input="{q} {more?}", output="r"))
    assert found == [("a", "b"), ("c d", "e")]


def test_earlier_turns_of_an_alpaca_row_stand_before_its_input(tmp_path: Path) -> None:
    """alpaca-optional-input: `history` as its own tools read it."""
    row = {"instruction": "And two?", "output": "2", "history": [["One?", "1"]]}
    loaded = read(jsonl(tmp_path / "a.jsonl", [row]))
    assert pairs(loaded) == [("User: One?\nAssistant: 1\nUser: And two?", "2")]


def test_what_of_a_known_form_is_not_used_is_told_once(tmp_path: Path) -> None:
    """alpaca-optional-input: with counts; columns that somebody chose are not nagged about."""
    rows = [{"input": f"q{n}", "output": "a", "answer": "b", "id": n} for n in range(5)]
    path = jsonl(tmp_path / "a.jsonl", [*rows, {"input": "q", "output": "a", "answer": ""}])
    assert told(read(path)) == [(1, "not used: `answer` (5 rows)")]
    assert "a: not used: `answer` (5 rows)" in entry(path).notes
    assert told(read(path, input="input", output="output")) == []


def test_tools_and_thoughts_of_a_conversation_are_told(tmp_path: Path) -> None:
    """alpaca-optional-input: what changes the answer and has no place here is not passed over."""
    rows = [chat(f"q{n}", "a", reasoning_content="hm", tool_calls=[]) for n in range(3)]
    rows[1]["tools"] = [{"name": "look up"}]  # type: ignore[typeddict-item]
    found = told(read(jsonl(tmp_path / "a.jsonl", rows)))
    assert found == [
        (1, "not used: `reasoning_content` of messages (3 rows)"),
        (2, "not used: `tools` (1 row)"),
    ]


def test_a_conversation_with_a_tools_answer_is_refused_or_dropped(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "tool", "content": "7"}]
    row = {"messages": [*turns, {"role": "assistant", "content": "7"}]}
    path = jsonl(tmp_path / "a.jsonl", [row, chat("q", "a"), chat("r", "a")])
    [problem] = read(path).problems
    assert "unknown role 'tool'" in problem.message and "bad_rows" in problem.hint
    assert len(pairs(read(path, bad_rows="drop"))) == 2


def test_a_prompt_and_its_completion_may_be_messages(tmp_path: Path) -> None:
    first, second = chat("q", "a", "Be brief.")["messages"][:-1], chat("q", "a")["messages"][-1:]
    loaded = read(jsonl(tmp_path / "a.jsonl", [{"prompt": first, "completion": second}]))
    assert pairs(loaded) == [("q", "a")] and loaded.instruction == "Be brief."


@pytest.mark.parametrize("write", [json.dumps, repr])
def test_a_conversation_that_a_table_holds_as_text_is_read(tmp_path: Path, write: Any) -> None:
    """label-list-as-text: the same kind, in the column of messages."""
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["messages"], [write(chat("it's", "a\n")["messages"])]])
    assert pairs(read(tmp_path / "a.csv")) == [("it's", "a")]


def test_a_history_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    row = {"instruction": "q", "output": "a", "history": "One? 1"}
    [problem, *_] = read(jsonl(tmp_path / "a.jsonl", [row])).problems
    assert "`history` is not a list of pairs" in problem.message


# ---- weight-zero ---------------------------------------------------------------------------------


def test_an_answer_of_weight_zero_is_not_learned(tmp_path: Path) -> None:
    """weight-zero: such rows are left out, and told by line and by number."""
    rows = [chat(f"q{n}", "wrong", weight=0) for n in range(3)]
    path = jsonl(tmp_path / "a.jsonl", [*rows, chat("q8", "good"), chat("q9", "good", weight=1)])
    loaded = read(path)
    assert pairs(loaded) == [("q8", "good"), ("q9", "good")]
    assert [problem.line for problem in loaded.problems] == [1, 2, 3]
    assert data.check(DataRequest([str(path)])) == ExitCode.OK
    assert "a: 3 rows left out: every answer has `weight` zero" in entry(path).notes


def test_the_last_answer_that_counts_is_the_one_to_learn(tmp_path: Path) -> None:
    """weight-zero: what follows it is told, what precedes it is shown."""
    [first, second] = [chat("q0", "a0")["messages"], chat("q1", "wrong", weight=0)["messages"]]
    third = chat("q2", "a2")["messages"]
    path = jsonl(tmp_path / "a.jsonl", [{"messages": first + second}, {"messages": second + third}])
    loaded = read(path)
    assert pairs(loaded) == [("q0", "a0"), ("User: q1\nAssistant: wrong\nUser: q2", "a2")]
    assert told(loaded) == [(1, "not used: messages after the last answer to learn (1 row)")]


def test_a_row_may_have_the_weight_itself(tmp_path: Path) -> None:
    """weight-zero: zero leaves it out, one is nothing special, others are told."""
    rows = [{"prompt": f"q{n}", "completion": "a", "weight": n / 2} for n in range(3)]
    loaded = read(jsonl(tmp_path / "a.jsonl", rows))
    assert [question for question, _ in pairs(loaded)] == ["q1", "q2"]
    assert told(loaded) == [
        (1, "the `weight` of the row is zero"),
        (2, "not used: `weight` (1 row)"),
    ]
    assert len(pairs(read(tmp_path / "a.jsonl", input="prompt", output="completion"))) == 3


def test_only_rows_of_weight_zero_are_no_examples(tmp_path: Path) -> None:
    """weight-zero: nothing is left to learn."""
    path = jsonl(tmp_path / "a.jsonl", [chat("q", "a", weight=0)])
    assert [p.message for p in read(path).problems if p.severity == "error"] == ["no examples"]


# ---- crlf-leak -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_do_not_hide_a_leak(tmp_path: Path, end: str) -> None:
    """crlf-leak: a row is the same row, and has the same tokens, whoever wrote its line ends."""
    test = 'text,label\n"first line\nsecond line",a\n"other\nnote",b\n'
    train = test.replace("\n", end) + f"plain three,a{end}plain four,b{end}"
    (tmp_path / "test.csv").write_bytes(test.encode())
    (tmp_path / "train.csv").write_bytes(train.encode())
    found = [problem for problem in check(read(tmp_path / ".")) if "also in train" in str(problem)]
    assert len(found) == 2
    task = entry(tmp_path / ".", valid_share=0.0).task
    assert [example.input for example in task.train] == ["plain three", "plain four"]
    assert task.test[0] == Example("first line\nsecond line", "a")
    [pasted, *_] = demonstrations.parse(train).examples
    assert pasted == task.test[0]


@pytest.mark.parametrize(
    "other", ["cafe\u0301 open", "caf\u00e9\u200b open", "caf\u00e9\u00a0open"]
)
def test_unicode_does_not_hide_a_leak(tmp_path: Path, other: str) -> None:
    """crlf-leak: nor do accents, invisible characters and hard spaces."""
    jsonl(
        tmp_path / "train.jsonl", [{"input": other, "output": "a"}, {"input": "b", "output": "b"}]
    )
    jsonl(tmp_path / "test.jsonl", [{"input": "caf\u00e9 open", "output": "a"}])
    assert [e.input for e in entry(tmp_path / ".", valid_share=0.0).task.train] == ["b"]


def test_rows_alike_are_set_aside_together_and_used_once(tmp_path: Path) -> None:
    rows = [(f"q {n}{mark}", f"a{n % 2}") for n in range(20) for mark in ("", "\u200b", " \r\n")]
    path = jsonl(tmp_path / "a.jsonl", [{"input": q, "output": a} for q, a in rows])
    found = entry(path, valid_share=0.5)
    assert len(found.task.train) == len(found.task.valid) == 10
    assert "a: 40 repeated rows used once" in found.notes


def test_a_held_out_row_is_known_in_any_spelling(tmp_path: Path) -> None:
    from yofo_mlx.tasks.checks import check_held_out

    for name, mark in (("a", ""), ("b", "\u00ad")):
        rows = [{"input": f"so{mark}ft {n}", "output": "x"} for n in range(3)]
        jsonl(tmp_path / f"{name}.jsonl", rows)
    sets = [read(tmp_path / "a.jsonl"), read(tmp_path / "b.jsonl", role="held_out")]
    assert "(3 such rows)" in check_held_out(sets)[0].message


# ---- label-invisibly-spelled ---------------------------------------------------------------------

SPELLINGS = ["sport\u200b", "Sport", "sport.", "\ufeffsport", "spo\u00adrt", "\uff53port"]


@pytest.mark.parametrize("other", SPELLINGS)
def test_a_label_spelled_in_two_ways_is_told_letter_by_letter(tmp_path: Path, other: str) -> None:
    """label-invisibly-spelled: also where nobody can see it."""
    rows = [{"text": f"game {n}", "label": "sport" if n < 4 else other} for n in range(8)]
    [(line, message)] = told(read(jsonl(tmp_path / "a.jsonl", rows)))
    assert line == 5 and "is also spelled 'sport'" in message
    assert message.startswith(r"label 'spo\xadrt'") or "\u00ad" not in other


def test_an_accent_written_in_two_ways_is_told(tmp_path: Path) -> None:
    """label-invisibly-spelled: composed and combining."""
    names = ("caf\u00e9", "cafe\u0301")
    rows = [{"text": f"cup {n}", "label": names[n // 4]} for n in range(8)]
    [(_, message)] = told(read(jsonl(tmp_path / "a.jsonl", rows)))
    assert message == r"label 'cafe\u0301' is also spelled 'caf\xe9'"


def test_a_label_that_the_recipe_spells_otherwise_is_named(tmp_path: Path) -> None:
    """label-invisibly-spelled: `labels` and the data."""
    path = jsonl(tmp_path / "a.jsonl", [{"text": "a", "label": "cafe\u0301"}])
    [problem, *_] = read(path, labels=("caf\u00e9", "bar")).problems
    assert problem.message == r"answer 'cafe\u0301' is not one of `labels`"
    assert problem.hint == r"it is spelled 'caf\xe9' there"


def test_labels_that_differ_are_left_alone(tmp_path: Path) -> None:
    names = ["-", "1", "-1", "C", "C++", "a.b", "ab"]
    rows = [{"text": f"{label} {n}", "label": label} for label in names for n in range(4)]
    assert told(read(jsonl(tmp_path / "a.jsonl", rows))) == []


def test_nothing_but_invisible_characters_is_empty(tmp_path: Path) -> None:
    """label-invisibly-spelled: such an answer cannot be learned."""
    path = jsonl(tmp_path / "a.jsonl", [{"text": "a", "label": "\u200b"}])
    assert read(path).problems[0].message == "`label` is empty"


# ---- header-repeated -----------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_in_the_middle_is_no_example(tmp_path: Path, mark: str) -> None:
    """header-repeated: `cat a.csv b.csv`, with and without a byte order mark."""
    table = f"{mark}text,label\nmy card,card\nmy parcel,parcel\n"
    (tmp_path / "a.csv").write_text(table + table.replace("my", "a"))
    loaded = read(tmp_path / "a.csv")
    assert len(pairs(loaded)) == 4 and ("text", "label") not in pairs(loaded)
    [problem] = loaded.problems
    assert (problem.line, problem.severity) == (4, "warning")
    assert "names of the columns" in problem.message


def test_a_header_of_another_order_is_an_error(tmp_path: Path) -> None:
    """header-repeated: what follows it has its cells in the wrong columns."""
    (tmp_path / "a.csv").write_text("text,label\na,x\nlabel,text\nx,b\n")
    [problem] = read(tmp_path / "a.csv").problems
    assert (problem.line, problem.severity) == (3, "error")


def test_rows_that_are_lists_have_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([["0", "1"], ["1", "0"]]))
    assert len(pairs(read(tmp_path / "a.json"))) == 2


def test_the_letter_case_of_a_header_does_not_matter(tmp_path: Path) -> None:
    """header-repeated: its sister, `Text,Label`."""
    (tmp_path / "a.csv").write_text("Text , LABEL\na,x\nb,y\n")
    assert pairs(read(tmp_path / "a.csv")) == [("a", "x"), ("b", "y")]
    assert pairs(read(tmp_path / "a.csv", input="text", output="{label}!")) == [
        ("a", "x!"),
        ("b", "y!"),
    ]


# ---- label-list-as-text --------------------------------------------------------------------------

WRITTEN = [
    "['joy', 'surprise']",
    '["joy", "surprise"]',
    "['joy' 'surprise']",
    "('joy', 'surprise')",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_lists_written_as_text_are_told_and_read_where_wanted(tmp_path: Path, text: str) -> None:
    """label-list-as-text: as Python, JSON and NumPy write them."""
    rows = [{"text": f"t{n}", "labels": text} for n in range(6)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    [(_, message)] = told(read(path))
    assert message.startswith("6 answers are lists written as text")
    loaded = read(path, family="multilabel")
    assert [item.answers for item in loaded.all_items()] == [("joy", "surprise")] * 6
    assert pairs(loaded)[0] == ("t0", "joy, surprise") and told(loaded) == []


def test_a_list_that_is_the_answer_stays_as_it_is(tmp_path: Path) -> None:
    """label-list-as-text: somebody may teach to write lists."""
    rows = [{"input": f"sort {n}", "output": f"['{n}', 'z']"} for n in range(6)]
    loaded = read(jsonl(tmp_path / "a.jsonl", rows), family="other")
    assert pairs(loaded)[0][1] == "['0', 'z']" and told(loaded) == []


# ---- same-stem-pattern ---------------------------------------------------------------------------


def test_files_of_a_pattern_have_names_of_their_own(tmp_path: Path) -> None:
    """same-stem-pattern: a dot in a name, one name in several folders, two formats of one name."""
    names = ["tickets.2023.csv", "tickets.2024.csv", "a/train.csv", "b/train.csv", "b/train.tsv"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        rows = (f"{name} {n},x\n" for n in range(9))
        mark = "\t" if name.endswith(".tsv") else ","
        (tmp_path / name).write_text(("text,label\n" + "".join(rows)).replace(",", mark))

    def named(pattern: str) -> list[str]:
        found = load_tasks([TaskSource(source=pattern, name="suite")], 0, tmp_path)
        return [one.task.name.replace(os.sep, "/") for one in found]

    assert named("*.csv") == ["suite/tickets.2023", "suite/tickets.2024"]
    assert named("*/*.csv") == ["suite/a/train", "suite/b/train"]
    assert named("b/*") == ["suite/train.csv", "suite/train.tsv"]
