"""Means are over the same tasks at every point, each metric's and family's apart."""

import math

import pytest

from yofo_mlx.evaluation.scores import Scored, margin, mean_rows, summarize


def task(
    name: str, scores: dict[int, float], metric: str = "exact", family: str = "other"
) -> Scored:
    rows = [{"shots": k, "accuracy": score, "loss": 1 + score} for k, score in scores.items()]
    return Scored(name, family, metric, 8, rows)


HARD = [task(f"hard{n}", {0: 0.0, 4: 0.25}) for n in range(3)]
EASY = [task(f"easy{n}", {0: 0.25, 4: 0.75, 16: 0.5}) for n in range(2)]


def test_a_curve_does_not_rise_because_hard_tasks_drop_out() -> None:
    (exact,) = summarize([*HARD, *EASY])
    assert (exact["tasks"], exact["of"]) == (5, 5)
    assert [(row["shots"], row["accuracy"]) for row in exact["by_shots"]] == [
        (0, pytest.approx(0.1)),
        (4, pytest.approx(0.45)),
    ]
    (further,) = exact["others"]
    assert further["tasks"] == 2
    assert [row["accuracy"] for row in further["by_shots"]] == [0.25, 0.75, 0.5]


def test_one_short_task_does_not_shorten_the_curve_of_all_others() -> None:
    (exact,) = summarize([task("short", {0: 1.0}), *EASY, *EASY])
    assert (exact["tasks"], exact["of"], len(exact["by_shots"])) == (4, 5, 3)
    assert [(one["tasks"], len(one["by_shots"])) for one in exact["others"]] == [(5, 1)]


def test_metrics_are_never_averaged_together_and_families_are_apart() -> None:
    tasks = [
        task("labels", {0: 0.5}, family="classification"),
        task("logic", {0: 1.0}, family="nli"),
        task("news", {0: 0.1}, metric="rouge", family="summarization"),
    ]
    exact, rouge = summarize(tasks)
    assert (exact["by_shots"][0]["accuracy"], rouge["by_shots"][0]["accuracy"]) == (0.75, 0.1)
    assert [(one["family"], one["by_shots"][0]["accuracy"]) for one in exact["families"]] == [
        ("classification", 0.5),
        ("nli", 1.0),
    ]


def test_a_task_without_any_point_is_counted() -> None:
    (exact,) = summarize([task("silent", {}), *EASY])
    assert (exact["tasks"], exact["of"]) == (2, 3)
    (silent,) = summarize([task("silent", {})])
    assert (silent["tasks"], silent["of"], silent["by_shots"]) == (0, 1, [])


def test_the_mean_of_losses_has_no_margin_and_scores_have_one() -> None:
    rows = mean_rows(EASY, 4)
    assert rows[1].keys() == {"shots", "accuracy", "accuracy_margin", "loss"}
    assert rows[1]["loss"] == 1.75


def test_the_margin_is_the_one_of_agresti_and_coull() -> None:
    share = (6 + 2) / (8 + 4)
    by_hand = 1.96 * math.sqrt(share * (1 - share) / 12)
    assert margin([0.75], [8]) == pytest.approx(by_hand)
    assert margin([1.0], [4]) > 0.2  # four right ones of four prove little
    assert margin([0.75] * 100, [8] * 100) == pytest.approx(
        1.96 * math.sqrt(0.1875 / 800), rel=0.01
    )
