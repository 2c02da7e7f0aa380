"""Evaluations side by side: where they differ, and what of them can be compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from yofo_mlx.evaluation.archive import Content, models
from yofo_mlx.evaluation.scores import Row, Scored, summarize
from yofo_mlx.evaluation.stored import CHOICE

# What the queries of a task, the demonstrations before them, or how they are read depend on.
ASKED = ("seed", "template", "evaluation")


@dataclass(frozen=True)
class Difference:
    """A setting that evaluations do not share."""

    setting: str  # dotted, such as `evaluation.queries`
    first: Any
    second: Any

    @property
    def is_of_queries(self) -> bool:
        """Tell whether other queries, or other demonstrations, may have been asked for it."""
        return self.setting.split(".")[0] in ASKED and self.setting != "evaluation.choice"


@dataclass(frozen=True)
class Comparison:
    """What evaluations share, and what they do not."""

    differences: list[Difference]
    left_out: list[str]  # tasks that are not compared, with the reason
    tasks: list[Scored]  # that are; scores are called `base 1` and so on
    columns: list[str]  # their names

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Return the means, as of one evaluation."""
        return summarize(self.tasks)

    @property
    def is_like_for_like(self) -> bool:
        """Tell whether the same was asked in the same way."""
        return not any(one.is_of_queries for one in self.differences)


def compare_evaluations(*contents: Content) -> Comparison:
    """Compare the tasks that all of them measured, at the numbers of shots that all did."""
    first, *rest = contents
    left_out = dict(_left_out([content["asked"]["tasks"] for content in contents]))
    shared = [
        _joined(contents, name, kind, metric)
        for kind, metric in (("tasks", ""), ("choices", CHOICE))
        for name in first.get(kind, {})
        if name not in left_out and all(name in one.get(kind, {}) for one in rest)
    ]
    found = (one for other in rest for one in differences(first["asked"], other["asked"]))
    return Comparison(
        list({one.setting: one for one in found}.values()),
        [f"{name}: {why}" for name, why in left_out.items()],
        shared,
        [f"{name} {n}" for n, one in enumerate(contents, 1) for name in models(one)],
    )


def differences(first: Content, second: Content) -> Iterator[Difference]:
    """Yield the settings that differ in what was asked; tasks are another matter."""
    one, two = (
        dict(_flat({key: value for key, value in asked.items() if key not in ("role", "tasks")}))
        for asked in (first, second)
    )
    for name in dict.fromkeys([*one, *two]):
        if one.get(name) != two.get(name):
            yield Difference(name, one.get(name), two.get(name))


def _flat(settings: Content, above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def _left_out(asked: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the tasks that are not the same in all, with the reason."""
    for name in dict.fromkeys(name for tasks in asked for name in tasks):
        having = [place for place, tasks in enumerate(asked) if name in tasks]
        facts = [asked[place][name] for place in having]
        if len(having) < len(asked):
            yield name, f"only in the {' and '.join(_nth(place) for place in having)}"
        elif other := list(dict.fromkeys(key for one in facts for key in _changed(facts[0], one))):
            rows = "fingerprint" in other
            yield name, "its rows changed" if rows else f"its {', '.join(other)} changed"


def _nth(place: int) -> str:
    return ("first", "second", "third")[place] if place < 3 else f"{place + 1}th"


def _changed(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    keys = dict.fromkeys([*first, *second])
    return [key for key in keys if first.get(key) != second.get(key)]


def _joined(contents: Sequence[Content], name: str, kind: str, metric: str) -> Scored:
    """Put what all measured of a task side by side; without a `metric`, the task's own."""
    by_shots = [{row["shots"]: row for row in content[kind][name]} for content in contents]
    rows: list[Row] = []
    for shots in by_shots[0]:
        if all(shots in rows_of for rows_of in by_shots):
            row: Row = {"shots": shots}
            for number, (content, rows_of) in enumerate(zip(contents, by_shots, strict=True), 1):
                row |= {f"{one} {number}": rows_of[shots][one] for one in models(content)}
            rows.append(row)
    measured = [content["measured"]["base"][name] for content in contents]
    queries = min(facts["queries"] for facts in measured)
    return Scored(name, measured[0]["family"], metric or measured[0]["metric"], queries, rows)
