"""Base results that evaluations share: taken only where all that they depend on is the same."""

from copy import deepcopy
from typing import Any

import pytest

from yofo_mlx.evaluation import shared
from yofo_mlx.evaluation.scores import QueryResult
from yofo_mlx.evaluation.shared import SharedResults
from yofo_mlx.system import paths

ASKED: dict[str, Any] = {
    "versions": {"mlx": "1"},
    "model": {"name": "m", "fingerprint": "abc"},
    "adapter": {"sha256": "x"},
    "seed": 0,
    "template": {"style": "plain"},
    "evaluation": {"shots": [0, 4], "queries": 2, "max_tokens": 99},
    "tasks": {"a": {"fingerprint": "1"}, "b": {"fingerprint": "2"}},
}
FOUND = SharedResults("run's evaluation 1", {"0/4": [QueryResult(1.0, float("nan"), "up", "up")]})


BAD = '{"origin": "", "results": {"0/4": [[1, 1, 7, null]]}}'


def changed(*place: str, to: Any) -> dict[str, Any]:
    asked = table = deepcopy(ASKED)
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = to
    return asked


@pytest.mark.parametrize(
    "asked",
    [
        ASKED,
        changed("adapter", to=None),
        changed("model", "name", to="elsewhere/m"),
        changed("evaluation", "choice", to=True),
        changed("evaluation", "valid_tasks", to=3),
        changed("evaluation", "samples", to=0),
        changed("tasks", "a", to={"fingerprint": "1", "queries": 2}),
        changed("tasks", "b", "fingerprint", to="3"),
    ],
)
def test_what_no_base_figure_depends_on_changes_nothing(asked: Any) -> None:
    shared.keep(ASKED, "a", FOUND)
    found = shared.find(asked, "a")
    assert found and found.origin == FOUND.origin
    (one,) = found.results["0/4"]
    assert (one.score, one.choice, one.answer) == (1.0, "up", "up") and one.loss != one.loss


@pytest.mark.parametrize(
    "asked",
    [
        changed("versions", "mlx", to="2"),
        changed("model", "fingerprint", to="abd"),
        changed("seed", to=1),
        changed("template", "style", to="chat"),
        changed("evaluation", "shots", to=[0, 8]),
        changed("evaluation", "max_tokens", to=98),
        changed("tasks", "a", to={"fingerprint": "1", "queries": 3}),
        changed("tasks", "a", "fingerprint", to="4"),
    ],
)
def test_another_setting_is_measured_by_itself(asked: Any) -> None:
    shared.keep(ASKED, "a", FOUND)
    assert shared.find(asked, "a") is None
    assert shared.find(ASKED, "b") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"origin": 1, "results": {"0/4": 7}}', "\x00", BAD]
)
def test_a_damaged_file_is_no_result(text: str) -> None:
    shared.keep(ASKED, "a", FOUND)
    (path,) = paths.base_results().iterdir()
    path.write_text(text)
    assert shared.find(ASKED, "a") is None
    shared.keep(ASKED, "a", FOUND)
    assert shared.find(ASKED, "a")


def test_a_folder_that_cannot_be_written_is_no_mistake() -> None:
    paths.home().mkdir(parents=True, exist_ok=True)
    paths.base_results().write_text("a file is in the way")
    shared.keep(ASKED, "a", FOUND)
    assert shared.find(ASKED, "a") is None
