"""`yofo rehearse`: what becomes of which answer, a data set and a recipe, and an interrupt."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ByteTokenizer
from tests.making import Call, refused, write_recipe
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.prompting.batched import Written
from yofo_mlx.recipe.family import Family
from yofo_mlx.recipe.schema import Recipe, Template
from yofo_mlx.rehearsal import asker as asker_module
from yofo_mlx.rehearsal import outcome, tables
from yofo_mlx.rehearsal.asker import Shown
from yofo_mlx.rehearsal.rehearse import Rehearsal, RehearsedTask, Target, Trust
from yofo_mlx.rehearsal.settings import RehearsalSettings
from yofo_mlx.runs.recipe import load_recipe
from yofo_mlx.tasks.registry import METRICS, TaskEntry, load_tasks
from yofo_mlx.tasks.task import Example, Task

TABLES = """
[optimizer]
learning_rate = 3e-3
[[tasks]]
source = "tiny:topic-00"
weight = 2.0
[[tasks]]
source = "tiny:cipher-00"
[[tasks]]
source = "tiny:new-topic-01"
role = "held_out"
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_recipe(tmp_path, TABLES)


def rows(folder: Path, split: str = "train") -> list[list[dict[str, str]]]:
    return [
        [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in sorted(folder.glob(f"data/*/{split}.jsonl"))
    ]


def test_what_the_base_said_and_a_judge_accepts_is_trained_on(yofo: Call, recipe: Path) -> None:
    judge = ("--judge", "command", "--command", "true")
    code, out, err = yofo("rehearse", recipe, "--limit", 3, *judge, "--out", "own")
    assert code == 0 and Path(out.splitlines()[-1]) == Path("own/recipe.toml")
    assert "next: yofo train own/recipe.toml" in err and "plain tuning" not in err
    about = json.loads(Path("own/rehearsal.json").read_text())
    found = [row for task in rows(Path("own")) for row in task]
    own = [row for row in found if row["provenance"] == "own"]
    assert own and about["all"]["own"] == len(own) and about["all"]["rows"] == len(found) == 6
    assert all(row["output"] == row["gold"] for row in found if row["provenance"] == "gold")
    assert any(row["output"] != row["gold"] for row in own)
    made = load_recipe(Path("own/recipe.toml"))
    train = [entry for entry in load_tasks(made.tasks, 0, Path.cwd()) if entry.role == "train"]
    assert [(entry.task.name, entry.metric, entry.weight) for entry in train] == [
        ("topic-00", "exact", 2.0),
        ("cipher-00", "exact", 1.0),
    ]
    assert {one.output for one in train[0].task.train} <= {row["output"] for row in found}
    assert made.tasks[2] == load_recipe(recipe).tasks[2]
    assert made.model_copy(update={"tasks": ()}) == load_recipe(recipe).model_copy(
        update={"tasks": ()}
    )


def test_a_base_that_knows_nothing_gives_plain_tuning_and_says_so(yofo: Call, recipe: Path) -> None:
    code, out, _ = yofo("rehearse", recipe, "--limit", 4, "--json")
    about = json.loads(out)
    assert code == 0 and about["all"]["gold"] == about["all"]["rows"] == 8
    assert about["plain_tuning"] == "under 10% of the targets are the model's own"
    assert {name: facts["judge"] for name, facts in about["by_task"].items()} == {
        "topic-00": "label",
        "cipher-00": "normalised",  # no chat template: the model could not judge
    }
    assert all(
        row["output"] == row["gold"] for task in rows(Path("mine-rehearsed")) for row in task
    )


def test_an_interrupted_rehearsal_asks_only_what_is_left(
    yofo: Call, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [0]
    real = asker_module.answer_each

    def stopping(most: int) -> Callable[..., Iterator[tuple[int, Written]]]:
        def answer_each(*given: Any, **options: Any) -> Iterator[tuple[int, Written]]:
            for one in real(*given, **options):
                if asked[0] == most:
                    raise KeyboardInterrupt
                asked[0] += 1
                yield one

        return answer_each

    call = ("rehearse", recipe, "--limit", 4, "--out", "one")
    monkeypatch.setattr(asker_module, "answer_each", stopping(5))
    code, _, err = yofo(*call)
    assert code == 130 and "what was answered is kept in one" in err
    assert f"next: yofo rehearse {recipe} --limit 4 --out one" in err
    assert not Path("one/recipe.toml").exists() and not Path("one/data").exists()
    asked[0] = 0
    monkeypatch.setattr(asker_module, "answer_each", stopping(99))
    assert yofo(*call)[0] == 0 and asked[0] == 3
    again = rows(Path("one"))
    shutil.rmtree("one")
    assert yofo(*call)[0] == 0 and asked[0] == 3 + 8
    assert rows(Path("one")) == again


@pytest.mark.parametrize(
    "options, words",
    [
        (["--judge", "me"], "there is no judge 'me'"),
        (["--judge", "maths=exact"], "there is no family 'maths'"),
        (["--judge", "command"], "--judge command needs a command"),
        (["--command", "true"], "--command is given, and no judge is one"),
        (["--judge", "command", "--command", "no-such-program-here x"], "no such program"),
        (["--judge", "command", "--command", "'"], "No closing quotation"),
        (["--out", "mine.toml"], "mine.toml exists already, and is no rehearsal"),
        (["--out", "."], ". exists already, and is no rehearsal"),
        (["--out", "other"], "other is the rehearsal of another recipe: its tasks differ"),
    ],
)
def test_what_cannot_be_is_refused_in_two_lines(
    yofo: Call, recipe: Path, options: list[str], words: str
) -> None:
    other = load_recipe(recipe, ["tasks.0.source=tiny:topic-01"])
    outcome.begin(Path("other"), other, ["topic-01", "cipher-00"])
    code, err = refused(yofo, "rehearse", recipe, *options)
    assert code == 2 and words in err


# ---------------------------------------------------------------------- who says what


class Scripted:
    """An asker whose model says what a test wants."""

    def __init__(self, said: dict[str, str], restated: dict[str, str], likes: set[str]) -> None:
        self.said, self.restated, self.likes = said, restated, likes
        self.shown_to: dict[str, tuple[str, ...]] = {}
        self._shown: dict[tuple[int, ...], tuple[str, ...]] = {}
        self._tokenizer = ByteTokenizer(chat=True)

    def segmenter(self, instruction: str) -> Segmenter:
        return Segmenter(self._tokenizer, Template(), instruction)

    def shown(self, task: Task, demonstrations: Sequence[Example], max_tokens: int) -> Shown:
        mark = (len(self._shown),)  # in place of its tokens
        self._shown[mark] = tuple(one.input for one in demonstrations)
        return Shown(self.segmenter(task.instruction), mark, len(demonstrations))

    def answers(
        self, shown: Shown, inputs: Sequence[str], max_tokens: int, what: str
    ) -> list[Written]:
        self.shown_to |= dict.fromkeys(inputs, self._shown[shown.tokens])
        return [self._written(self.said[text]) for text in inputs]

    def paraphrases(
        self, task: Task, examples: Sequence[Example], max_tokens: int, what: str
    ) -> list[Written]:
        return [self._written(self.restated[one.input]) for one in examples]

    def approvals(self, task: Task, pairs: Sequence[tuple[Example, str]], what: str) -> list[float]:
        # By habit it says No, to what it likes less often.
        return [-1.0 if answer in self.likes | {one.output} else -9.0 for one, answer in pairs]

    def _written(self, text: str) -> Written:
        return Written(text.removesuffix("..."), not text.endswith("..."))


def rehearsed(asker: Any, entry: TaskEntry, **settings: Any) -> RehearsedTask:
    recipe = Recipe.model_validate_json(
        '{"model": "m", "train": {"steps": 1}, "tasks": [{"source": "s"}]}'
    )
    return Rehearsal(asker, recipe, RehearsalSettings(**settings), 4096).task(entry)


def entry_of(family: Family, outputs: dict[str, str]) -> TaskEntry:
    train = tuple(Example(text, output) for text, output in outputs.items())
    task = Task("t", family, train)
    return TaskEntry(task, "train", METRICS[family], None, 1.0, "")


def test_own_comes_before_paraphrase_and_paraphrase_before_gold() -> None:
    asker = Scripted(
        said={"a": "mine", "b": "bad", "c": "", "d": "mine..."},
        restated={"b": "restated", "c": "bad", "d": "restated..."},
        likes={"mine", "restated"},
    )
    gold = {"a": "ga", "b": "gb", "c": "gc", "d": "gd"}
    found = rehearsed(asker, entry_of("summarization", gold))
    assert [(target.output, target.provenance) for target in found.targets] == [
        ("mine", "own"),
        ("restated", "paraphrase"),
        ("gc", "gold"),
        ("gd", "gold"),
    ]
    assert [target.gold for target in found.targets] == list(gold.values())
    assert found.judge == "model" and found.cut == 1 and found.paraphrases
    assert found.trust == Trust(least=-5.0, right=1.0, wrong=0.0)
    ssr = rehearsed(asker, entry_of("summarization", gold), paraphrase=False)
    assert [target.provenance for target in ssr.targets] == ["own", "gold", "gold", "gold"]


def test_a_paraphrase_that_has_lost_the_way_to_the_result_is_none() -> None:
    gold = {"a": "4 + 5 = 9, and 9 + 3 = 12\n#### 12", "b": "2 * 2 = 4\n#### 4"}
    asker = Scripted(
        said={"a": "It is 11.", "b": "It is 5."},
        restated={"a": "It is 12.", "b": "Twice two are four: 4"},
        likes=set(),
    )
    found = rehearsed(asker, entry_of("math", gold))
    assert [target.provenance for target in found.targets] == ["gold", "paraphrase"]


def test_a_model_that_does_not_tell_right_from_wrong_accepts_nothing() -> None:
    gold = {"a": "ga", "b": "gb", "c": "gc"}
    asker = Scripted(gold, gold, likes=set(gold.values()))  # it likes each of them anywhere
    found = rehearsed(asker, entry_of("summarization", gold))
    assert {target.provenance for target in found.targets} == {"gold"}
    assert found.trust == Trust(least=-1.0, right=1.0, wrong=1.0)


def test_no_input_is_asked_behind_its_own_answer() -> None:
    gold = {f"input {n}": "ab"[n % 2] for n in range(9)}
    asker = Scripted(said=dict.fromkeys(gold, "a"), restated={}, likes=set())
    found = rehearsed(asker, entry_of("classification", gold), shots=4)
    assert asker.shown_to.keys() == gold.keys() and found.shots == 4
    for text, shown in asker.shown_to.items():
        assert len(shown) == 4 and text not in shown
    own = {target.input for target in found.targets if target.provenance == "own"}
    assert own == {text for text, label in gold.items() if label == "a"}
    assert not found.paraphrases  # a label has no other words


def test_demonstrations_are_for_labels_where_a_model_follows_instructions() -> None:
    gold = {f"input {n}": f"answer {n}" for n in range(9)}
    asker = Scripted(said=gold, restated=gold, likes=set())
    assert rehearsed(asker, entry_of("other", gold)).shots == 0
    assert rehearsed(asker, entry_of("classification", gold)).shots == 4  # of 9, others' are left
    assert rehearsed(asker, entry_of("other", gold), shots=2).shots == 2


def test_who_judges_is_said_or_the_recipes_metric_or_the_familys() -> None:
    gold = {"a": "1", "b": "2"}
    asker = Scripted(said={"a": "it is 1", "b": "none"}, restated=gold, likes=set())

    def judge(family: Family, metric: str | None = None, **judges: str) -> str:
        entry = entry_of(family, gold)
        entry = replace(entry, metric=metric or entry.metric)
        return rehearsed(asker, entry, judges=judges, paraphrase=False).judge

    assert judge("math") == "number" and judge("nli") == "label" and judge("other") == "model"
    assert judge("qa") == "normalised" and judge("qa", "number") == "number"
    assert judge("summarization", "exact") == "exact"
    assert judge("math", math="exact") == "exact" and judge("math", qa="exact") == "number"


# ---------------------------------------------------------------------- the folder


NASTY = ["input", "output", "a\nb", "\x1b[2J", "x\u2028y", "[1]", "0", "1", "[[tasks]]", "é, b"]


@pytest.mark.parametrize("family", ["classification", "multilabel", "other", "math"])
def test_rows_that_did_not_change_are_read_back_as_the_task_they_were(
    family: Family, tmp_path: Path, recipe: Path
) -> None:
    train = tuple(Example(f"{text} {n}", text) for n, text in enumerate(NASTY))
    valid, test = (Example("v", NASTY[0]),), (Example("t\x00", NASTY[1]),)
    labels = tuple(sorted({label for text in NASTY for label in text.split(", ")}))
    is_labelled = family in ("classification", "multilabel")
    task = Task("a/b *", family, train, valid, test, "Be kind.\n", labels if is_labelled else ())
    separator = ", " if family == "multilabel" else None
    if family == "classification":
        task = replace(task, labels=tuple(sorted(NASTY)))
    entry = TaskEntry(task, "train", METRICS[family], "####", 0.5, "", separator)
    targets = tuple(Target(one.input, one.output, "gold", one.output) for one in train)
    done = RehearsedTask(entry, "label", 0, targets, 0, 0, False)
    outcome.finish(tmp_path, load_recipe(recipe), [done], RehearsalSettings())
    made = load_recipe(tmp_path / tables.RECIPE)
    (found,) = load_tasks(made.tasks[:1], 0, tmp_path)
    assert replace(found.task, instruction=task.instruction) == task
    assert (found.metric, found.answer_after, found.weight) == (entry.metric, "####", 0.5)
    assert found.separator == separator and found.task.instruction.strip() == "Be kind."


def test_changed_targets_alone_make_another_arm() -> None:
    counts = {"rows": 100, "own": 10, "paraphrase": 0, "gold": 90, "changed": 1}
    assert outcome.why_plain(counts) is None
    assert "under 10%" in str(outcome.why_plain(counts | {"own": 9}))
    assert "letter for letter" in str(outcome.why_plain(counts | {"own": 100, "changed": 0}))
