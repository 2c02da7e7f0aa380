"""The report: from result files alone, nothing left out, nothing that needs another file."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.study.made import PretendingCrew, plan
from yofo_mlx.errors import RunError
from yofo_mlx.recipe.study import RATE
from yofo_mlx.study.making import Making
from yofo_mlx.study.page import as_page, write_report
from yofo_mlx.study.report import markdown
from yofo_mlx.study.results import Forgetting, MeasuredTask, Result, StudyFolder, TrainingCost
from yofo_mlx.study.search import best
from yofo_mlx.study.summary import paired, summarize, tables_of

STUDY = {"name": "made", "mean": ["one", "two"], "apart": [], "choose_on": []}


def result(arm: str, seed: int, right: dict[str, str], **more: Any) -> Result:
    """Return a result at 4 shots; a task's answers are written as `1` and `0`."""
    tasks = {
        name: MeasuredTask(fingerprint="", family="qa", metric="exact", labels=2, asked={4: 9})
        for name in right
    }
    cells = {
        name: {4: {f"q{n}": (float(mark), 1.0) for n, mark in enumerate(marks)}}
        for name, marks in right.items()
    }
    cost = TrainingCost(tokens=100, targets=10, updates=5, seconds=60.0, learning_rate=1e-4)
    training = None if arm == "base" else cost
    return Result(arm=arm, seed=seed, tasks=tasks, cells=cells, training=training, **more)


def forgot(loss: float) -> Forgetting:
    return Forgetting(fingerprint="", loss=loss)


RESULTS = {
    "base-s0": result("base", 0, {"one": "0001", "two": "01"}, forgetting=forgot(3.0)),
    "many-all-s0": result("many-all", 0, {"one": "0111", "two": "11"}, forgetting=forgot(3.1)),
    "many-all-s1": result("many-all", 1, {"one": "0101", "two": "01"}, forgetting=forgot(3.1)),
    "many-last-s0": result("many-last", 0, {"one": "0101", "two": "01"}, forgetting=forgot(3.2)),
    "zero-shot-s0": result("zero-shot", 0, {"one": "0000", "two": "10"}, forgetting=forgot(3.4)),
    "dedicated-64-one-s0": result("dedicated-64", 0, {"one": "1111"}, task="one"),
    "dedicated-64-two-s0": result("dedicated-64", 0, {"two": "11"}, task="two"),
}


def test_a_mean_is_over_tasks_and_seeds_and_a_difference_over_the_same_queries() -> None:
    found = summarize(RESULTS, STUDY, 200)
    (row,) = found["curves"]["many-all"]
    assert row["mean"] == pytest.approx(((0.75 + 0.5) / 2 + (1 + 0.5) / 2) / 2)
    assert (row["seeds"], row["tasks"], row["queries"]) == (2, 2, 6)
    by_arm = {one["arm"]: one for one in found["differences"]}
    assert by_arm["base"]["mean"] == pytest.approx((0.75 + 1) / 2 - (0.25 + 0.5) / 2)
    assert by_arm["base"]["seeds"] == 1  # the other seed's demonstrations are others
    (dedicated,) = found["curves"]["dedicated-64"]
    assert dedicated["mean"] == 1.0 and dedicated["tasks"] == 2


def test_only_queries_that_both_were_asked_are_compared() -> None:
    more = result("many-all", 0, {"one": "01111"})
    table = paired([more], [RESULTS["base-s0"]], ["one", "two"], 4)
    assert {name: rows.tolist() for name, rows in table.items()} == {"one": [[0, 1, 1, 0]]}
    assert tables_of([more, RESULTS["many-all-s1"]], ["one"], 4)["one"].shape == (2, 4)


def test_the_report_says_what_the_figures_say() -> None:
    text = markdown({**summarize(RESULTS, STUDY, 200), "notes": ["many-x failed: why"]}, {})
    assert "`many-all` answers 68.8" in text and "the base model 37.5" in text
    assert "at most half of it (25 %)" in text
    assert "a gap of 31.2 points" in text
    assert "- many-x failed: why" in text
    for heading in ("Figure 1", "Figure 4", "Figure 5", "Forgetting", "What it cost", "By task"):
        assert heading in text


def test_what_is_told_beside_a_metric_is_a_mean_over_seeds_where_most_arms_have_it() -> None:
    def told(name: str, by_shots: dict[int, float]) -> Result:
        more = {shots: {"macro_f1": value} for shots, value in by_shots.items()}
        return RESULTS[name].model_copy(update={"beside": {"one": more}})

    found = {
        "base-s0": told("base-s0", {0: 0.125, 4: 0.25}),
        "many-all-s0": told("many-all-s0", {4: 0.5, 8: 0.625}),
        "many-all-s1": told("many-all-s1", {4: 0.75}),
    }
    text = markdown(summarize(found, STUDY, 20), {})
    assert "## Beside the metrics" in text
    assert "| one | macro_f1 | 4 | 25.0 | 62.5 |" in text
    assert "Beside the metrics" not in markdown(summarize(RESULTS, STUDY, 20), {})


def test_several_rates_are_told_and_the_chosen_one_alone_is_in_the_tables() -> None:
    tried = {
        f"many-all-s0-lr{rate}": result(
            "many-all", 0, {"judge": marks, "one": marks}, learning_rate=rate
        )
        for rate, marks in ((0.001, "0001"), (0.01, "0111"))
    }
    found = summarize(tried, {**STUDY, "choose_on": ["judge"]}, 50)
    assert [(one["values"], one["chosen"]) for one in found["tried"]] == [
        ({RATE: 0.001}, False),
        ({RATE: 0.01}, True),
    ]
    assert found["curves"]["many-all"][0]["mean"] == 0.75
    assert "judge" not in found["tasks"]


def test_of_an_arm_that_tries_no_rates_the_results_with_the_references_rate_count() -> None:
    tried = {
        f"{arm}-s0-lr{rate}": result(arm, 0, {"judge": marks, "one": marks}, learning_rate=rate)
        for rate, marks in ((0.001, "0001"), (0.01, "0111"))
        for arm in ("many-all", "few-all")
    }
    del tried["few-all-s0-lr0.01"].cells["judge"]
    study = {**STUDY, "learning_rates": [0.001, 0.01], "choose_on": ["judge"]}
    means = {arm: rows[0]["mean"] for arm, rows in summarize(tried, study, 50)["curves"].items()}
    assert means == {"many-all": 0.75, "few-all": 0.75}


def test_a_rate_is_judged_by_what_all_rates_were_asked_and_one_that_diverged_is_the_worst() -> None:
    nan = result("many-all", 0, {"judge": "0000"}, learning_rate=0.1)
    nan.cells["judge"][4] = dict.fromkeys(nan.cells["judge"][4], (0.0, float("nan")))
    wrong = result("many-all", 0, {"judge": "0000"}, learning_rate=0.01)
    assert best([nan, wrong], ["judge"], by_loss=False) == ((RATE, 0.01),)
    early = result("many-all", 0, {"judge": "1100"}, learning_rate=0.001)
    early.cells["judge"][64] = {"q0": (0.0, 9.0)}  # more shots, and interrupted
    late = result("many-all", 0, {"judge": "1000"}, learning_rate=0.01)
    assert best([early, late], ["judge"], by_loss=False) == ((RATE, 0.001),)


def test_a_rate_that_is_no_longer_asked_for_is_in_no_table() -> None:
    tried = {
        f"many-all-s0-lr{rate}": result("many-all", 0, {"one": marks}, learning_rate=rate)
        for rate, marks in ((0.001, "0001"), (0.01, "0111"))
    }
    found = summarize(tried, {**STUDY, "learning_rates": [0.001]}, 50)
    assert found["curves"]["many-all"][0]["mean"] == 0.25
    study = {**STUDY, "learning_rates": [0.01, 0.001], "choose_on": ["judge"]}
    found = summarize(tried, study, 50)
    assert found["curves"]["many-all"][0]["mean"] == 0.75
    assert "the first of those to try" in found["remarks"][-1]


def test_an_arm_of_one_seed_stands_against_that_seed_alone() -> None:
    every = [result("many-all", seed, {"one": marks}) for seed, marks in enumerate(("11", "00"))]
    (table,) = paired(every, [result("few-all", 0, {"one": "01"})], ["one"], 4).values()
    assert table.tolist() == [[1, 0]]


def test_what_is_over_fewer_tasks_or_was_never_measured_is_told() -> None:
    results = RESULTS | {"few-all-s0": result("few-all", 0, {"one": "1111"})}
    results["base-s0"].tasks["one"].asked[99] = 9
    study = {**STUDY, "mean": ["one", "two", "three"], "apart": ["bank-77"]}
    text = markdown(summarize(results, study, 50), {})
    assert "| `few-all` | 100.0 ±0.0 (1 of 2 tasks) |" in text
    assert "1 task of the mean (three)" in text
    assert "1 task set apart, which `--apart` measures (bank-77)" in text
    assert "no task reached 99 shots" in text
    del results["base-s0"].tasks["one"].asked[99]


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.svgs = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.svgs += tag == "svg"
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
                self.outside.append(f"{tag} {name}={value}")


def test_the_page_needs_no_other_file_and_obeys_no_name(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\x1b[2J|x"
    of = plan("base", "many-all", seeds=1)
    folder = StudyFolder(tmp_path)
    folder.begin(of.identity("print"), {**of.shown, "name": hostile})
    Making(of, folder, PretendingCrew({"base-s0": 0.0})).run(1, lambda making: None)
    page = write_report(folder).read_text()
    links = Links()
    links.feed(page)
    assert not links.outside and links.svgs == 2
    assert "<script" not in page and "\x1b" not in page
    assert re.findall(r"pictures/\w+\.svg", (tmp_path / "report.md").read_text())
    summary = json.loads((tmp_path / "report.json").read_text())
    assert summary["curves"]["many-all"][-1]["mean"] == 1.0


def test_a_report_is_written_from_result_files_without_a_model_a_recipe_or_mlx(
    tmp_path: Path,
) -> None:
    of = plan("base", seeds=1)
    folder = StudyFolder(tmp_path)
    folder.begin(of.identity("print"), of.shown)
    Making(of, folder, PretendingCrew()).run(1, lambda making: None)
    code = (
        "import sys\n"
        f"sys.argv = ['yofo', 'study', '--report', {str(tmp_path)!r}]\n"
        "sys.modules['mlx'] = None\n"
        "from yofo_mlx.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "report.html")


def test_there_is_no_report_of_what_is_no_study_or_has_no_result(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no study"):
        write_report(StudyFolder(tmp_path))
    StudyFolder(tmp_path).begin(plan().identity("print"), plan().shown)
    with pytest.raises(RunError, match="no result yet"):
        write_report(StudyFolder(tmp_path))


def test_a_damaged_result_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.begin(plan().identity("print"), plan().shown)
    for number, text in enumerate(("", "[]", '{"arm": 3}', "{", "\x00")):
        folder.result_path(f"x{number}").write_text(text)
    assert folder.results() == {}


def test_a_page_without_pictures_is_one_too() -> None:
    assert "<h1>Hello</h1>" in as_page("# Hello", {})
