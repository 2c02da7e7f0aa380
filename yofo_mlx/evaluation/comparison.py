"""Two evaluations side by side: where they differ, and what of them can be compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yofo_mlx.evaluation.archive import Content, models
from yofo_mlx.evaluation.scores import Row, Scored, summarize
from yofo_mlx.evaluation.stored import CHOICE

# What the queries of a task, the demonstrations before them, or how they are read depend on.
ASKED = ("seed", "template", "evaluation")


@dataclass(frozen=True)
class Difference:
    """A setting that two evaluations do not share."""

    setting: str  # dotted, such as `evaluation.queries`
    first: Any
    second: Any

    @property
    def is_of_queries(self) -> bool:
        """Tell whether other queries, or other demonstrations, may have been asked for it."""
        return self.setting.split(".")[0] in ASKED and self.setting != "evaluation.choice"


@dataclass(frozen=True)
class Comparison:
    """What two evaluations share, and what they do not."""

    differences: list[Difference]
    left_out: list[str]  # tasks that are not compared, with the reason
    metrics: list[dict[str, Any]]  # as of one evaluation; scores are called `base 1` and so on
    columns: list[str]  # their names

    @property
    def is_like_for_like(self) -> bool:
        """Tell whether the same was asked in the same way."""
        return not any(one.is_of_queries for one in self.differences)


def compare_evaluations(first: Content, second: Content) -> Comparison:
    """Compare the tasks that both measured, at the numbers of shots that both did."""
    left_out = dict(_left_out(first["asked"]["tasks"], second["asked"]["tasks"]))
    shared = [
        _joined(first, second, name, kind, metric)
        for kind, metric in (("tasks", ""), ("choices", CHOICE))
        for name in first.get(kind, {})
        if name not in left_out and name in second.get(kind, {})
    ]
    return Comparison(
        list(differences(first["asked"], second["asked"])),
        [f"{name}: {why}" for name, why in left_out.items()],
        summarize(shared),
        [f"{name} {n}" for n, one in enumerate((first, second), 1) for name in models(one)],
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


def _left_out(first: dict[str, Any], second: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the tasks that are not the same in both, with the reason."""
    for name in dict.fromkeys([*first, *second]):
        if name not in first or name not in second:
            yield name, f"only in the {'first' if name in first else 'second'}"
        elif other := _changed(first[name], second[name]):
            rows = "fingerprint" in other
            yield name, "its rows changed" if rows else f"its {', '.join(other)} changed"


def _changed(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    keys = dict.fromkeys([*first, *second])
    return [key for key in keys if first.get(key) != second.get(key)]


def _joined(first: Content, second: Content, name: str, kind: str, metric: str) -> Scored:
    """Put what both measured of a task side by side; without a `metric`, the task's own."""
    of_second = {row["shots"]: row for row in second[kind][name]}
    rows: list[Row] = [
        {"shots": shots} | _named(row, first, 1) | _named(of_second[shots], second, 2)
        for row in first[kind][name]
        if (shots := row["shots"]) in of_second
    ]
    measured = [content["measured"]["base"][name] for content in (first, second)]
    queries = min(facts["queries"] for facts in measured)
    return Scored(name, measured[0]["family"], metric or measured[0]["metric"], queries, rows)


def _named(row: Row, content: Content, number: int) -> Row:
    return {f"{model} {number}": row[model] for model in models(content)}
