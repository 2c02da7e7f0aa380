"""Which labels are taken for which, and how many answers are none of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yofo_mlx.evaluation.archive import Content, models
from yofo_mlx.evaluation.labels import labels_of
from yofo_mlx.evaluation.rows import at_most_shots
from yofo_mlx.evaluation.stored import scores_of
from yofo_mlx.system.text import printable, shorten
from yofo_mlx.tasks.task import Example, Task

MOST_LABELS = 200  # of a matrix that is kept
DRAWN_LABELS = 40
DRAWN_TASKS = 6
TOLD_TASKS = 6
NAMED = 3  # confusions of a task that are told
OTHER = "(other)"

Matrix = list[list[int]]  # expected labels by answers; the last column is of other answers


def matrix(labels: Sequence[str], expected: Sequence[str], answers: Sequence[str]) -> Matrix:
    """Count answers by the label that was expected and the one that was given."""
    places = {label.strip(): place for place, label in enumerate(labels)}
    counts = [[0] * (len(labels) + 1) for _ in labels]
    for wanted, answer in zip(expected, answers, strict=True):
        if (row := places.get(wanted.strip())) is not None:
            counts[row][places.get(answer.strip(), len(labels))] += 1
    return counts


def outside(counts: Matrix) -> float:
    """Return the share of answers that are none of the labels."""
    total = sum(map(sum, counts))
    return sum(row[-1] for row in counts) / total if total else 0.0


def matrices(
    content: Content, tasks: Sequence[Task], queries: Mapping[str, Sequence[Example]]
) -> dict[str, Any]:
    """Return the matrices of label tasks, at the most shots of each, by model.

    They are of free answers, where those were written out, else of the likeliest labels.
    """
    found = {}
    for task in tasks:
        labels = labels_of(task)
        if not labels or len(labels) > MOST_LABELS or task.name not in queries:
            continue
        expected = [example.output for example in queries[task.name]]
        for field in ("answer", "choice"):
            given = {
                name: [getattr(one, field) for some in at_most_shots(scores) for one in some]
                for name in models(content)
                for scores in [scores_of(content["measured"][name][task.name])]
            }
            if all(answers and None not in answers for answers in given.values()):
                facts = content["measured"][models(content)[0]][task.name]
                shots = facts["points"][-1]["shots"]
                found[task.name] = {"shots": shots, "of": field, "labels": list(labels)} | {
                    name: matrix(labels, expected * (len(answers) // len(expected)), answers)
                    for name, answers in given.items()
                }
                break
    return found


def lines(content: Content) -> Iterator[str]:
    """Yield the most frequent confusions of some tasks with the last model."""
    found, name = content.get("confusion", {}), models(content)[-1]
    for task, one in list(found.items())[:TOLD_TASKS]:
        labels = [*one["labels"], OTHER]
        pairs = [
            (count, f"{labels[row]} -> {labels[column]}")
            for row, of_label in enumerate(one[name])
            for column, count in enumerate(of_label)
            if count and column != row
        ]
        pairs.sort(key=lambda pair: -pair[0])
        told = ", ".join(f"{shorten(words)} {count}" for count, words in pairs[:NAMED])
        what = "answered" if one["of"] == "answer" else "likeliest"
        yield f"{printable(task)}, {name}, expected -> {what}: {told or 'nothing confused'}"
        if one["of"] == "answer":
            shares = (f"{model} {100 * outside(one[model]):.0f} %" for model in models(content))
            yield f"  answers that are none of its labels: {', '.join(shares)}"
    if len(found) > TOLD_TASKS:
        yield f"confusions of {len(found) - TOLD_TASKS} more tasks: --json"


def can_be_drawn(content: Content) -> list[str]:
    """Return the tasks whose matrices a picture has room for."""
    few = [
        task
        for task, one in content.get("confusion", {}).items()
        if len(one["labels"]) <= DRAWN_LABELS
    ]
    return few[:DRAWN_TASKS]


def draw(content: Content, path: Path) -> None:
    """Draw the matrices of some tasks, a line each, the base model's before the adapter's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    tasks, names = can_be_drawn(content), models(content)
    sides = [max(3.0, 0.22 * len(content["confusion"][task]["labels"])) for task in tasks]
    figure, charts = pyplot.subplots(
        len(tasks),
        len(names),
        figsize=(len(names) * (max(sides) + 1.5), sum(side + 1.2 for side in sides)),
        height_ratios=sides,
        layout="constrained",
        squeeze=False,
    )
    for line, task in zip(charts, tasks, strict=True):
        one = content["confusion"][task]
        for axes, name in zip(line, names, strict=True):
            _draw_matrix(axes, one[name], one["labels"])
            axes.set_title(
                f"{_plain(task)}, {name}, {one['shots']} shots", fontsize=8, parse_math=False
            )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _draw_matrix(axes: Any, counts: Matrix, labels: Sequence[str]) -> None:
    axes.imshow(counts, cmap="Blues", aspect="auto", vmin=0)
    columns = [_plain(label) for label in (*labels, OTHER)]
    style = {"fontsize": 6, "parse_math": False}
    axes.set_xticks(range(len(columns)), columns, rotation=90, **style)
    axes.set_yticks(range(len(labels)), columns[:-1], **style)
    axes.set_xlabel("answered", fontsize=7)
    axes.set_ylabel("expected", fontsize=7)


def _plain(label: str) -> str:
    return shorten(label, 24)
