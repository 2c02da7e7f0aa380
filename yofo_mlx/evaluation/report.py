"""An evaluation, base against adapter, as a table and a picture."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.evaluation import confusion
from yofo_mlx.evaluation.archive import ROLES, Content, models, role, task_scores
from yofo_mlx.evaluation.metrics import TITLES
from yofo_mlx.evaluation.rows import OUTCOMES
from yofo_mlx.evaluation.scores import Row, Scored, TaskScores, mean_rows
from yofo_mlx.evaluation.stored import CHOICE, scores_of
from yofo_mlx.system.quantities import plural
from yofo_mlx.system.text import printable

HEADS = TITLES | {CHOICE: "Expected label likeliest"}
COLORS = {"base": "#8a8f98", "adapter": "#d9480f"}


@dataclass(frozen=True)
class ReportLine:
    """Tasks that share a line of the table: those of one kind, or a single one."""

    name: str
    tasks: list[TaskScores]
    metric: str
    row: Row | None  # their means at the most shots that all of them reach


def table(content: Content, with_rows: bool = False) -> str:
    """Return the curve of each metric, then every task, then what was left out.

    `with_rows` also tells what came of single queries.
    """
    names, what = models(content), ROLES[role(content)]
    parts = [curve_lines(one, names, what) for one in content["metrics"]]
    parts += [list(_task_lines(content))]
    parts += [list(_outcome_lines(content))] if with_rows else []
    parts += [list(confusion.lines(content)), list(_note_lines(content))]
    return "\n\n".join("\n".join(part) for part in parts if part)


def table_of_ways(contents: Mapping[str, Content]) -> str:
    """Return the curves of evaluations that differ in a way, for each model the ways beside it."""
    first = next(iter(contents.values()))
    parts = []
    for place, metric in enumerate(first["metrics"]):
        each = {way: one["metrics"][place] for way, one in contents.items()}
        for model in models(first):
            groups = zip(*(one["by_shots"] for one in each.values()), strict=False)
            rows = [
                {"shots": group[0]["shots"]}
                | {way: row[model] for way, row in zip(each, group, strict=True)}
                | {
                    f"{way}_margin": row.get(f"{model}_margin")
                    for way, row in zip(each, group, strict=True)
                }
                for group in groups
            ]
            shown = {**metric, "by_shots": rows, "others": [], "families": []}
            what = f"{ROLES[role(first)]}, {model}"
            parts.append("\n".join(curve_lines(shown, [*each], what)))
    return "\n\n".join(parts)


def curve_lines(metric: dict[str, Any], names: Sequence[str], what: str) -> list[str]:
    """Return a metric's curve: a column for each of the names, such as `base`."""
    title = HEADS.get(metric["metric"], metric["metric"])
    lines = [f"{title} on {what}, in percent"]
    if not metric["by_shots"]:
        return [*lines, "not one of its tasks could be measured"]
    heads = "".join(f"{name:>14}" for name in names)
    lines += ["", f"{'shots':>8}{heads}{'tasks':>12}"]
    of = metric["of"]
    lines += [_curve_line(row, names, metric["tasks"], of) for row in metric["by_shots"]]
    for other in metric["others"]:
        reach = other["by_shots"][-1]["shots"]
        lines += [
            "",
            f"the {other['tasks']} tasks that were measured up to {plural(reach, 'shot')}",
        ]
        lines += [_curve_line(row, names, other["tasks"], of) for row in other["by_shots"][-2:]]
    if len(metric["families"]) > 1:
        last = metric["by_shots"][-1]["shots"]
        lines += ["", f"by family, at {plural(last, 'shot')}"]
        lines += [
            f"{one['family']:<16}{_figures(one['by_shots'][-1], names)}{one['tasks']:>12}"
            for one in metric["families"]
        ]
    return lines


def _curve_line(row: Row, names: Sequence[str], tasks: int, of: int) -> str:
    among = f"{tasks}" if tasks == of else f"{tasks} of {of}"
    return f"{row['shots']:>8}{_figures(row, names)}{among:>12}"


def _figures(row: Row, names: Sequence[str]) -> str:
    return "".join(f"{_figure(row, name):>14}" for name in names)


def _figure(row: Row, name: str) -> str:
    """Return a figure in percent, with its margin where it has one."""
    if name not in row:
        return "-"
    margin = row.get(f"{name}_margin")
    return _percent(row[name]) + ("" if margin is None else f" ±{_percent(margin)}")


def _task_lines(content: Content) -> Iterator[str]:
    lines, names = _lines(content), models(content)
    heads = "".join(f"{name:>14}" for name in names)
    width = max(len("task"), *(len(printable(line.name)) for line in lines)) + 2
    of = max(8, *(len(line.metric) + 1 for line in lines))
    yield (
        f"{'task':<{width}}{'family':<16}{'metric':<{of}}{'tasks':>5}{'queries':>9}{'shots':>7}{heads}"
    )
    for line in lines:
        first, queries = line.tasks[0], sum(one.queries for one in line.tasks)
        shots, figures = "-", f"{'-':>14}" * len(names)
        if line.row:
            shots, figures = f"{line.row['shots']}", _figures(line.row, names)
        yield (
            f"{printable(line.name):<{width}}{first.family:<16}{line.metric:<{of}}"
            f"{len(line.tasks):>5}{queries:>9}{shots:>7}{figures}"
        )


def _lines(content: Content) -> list[ReportLine]:
    """Return the lines of the tasks; those of one kind that all were measured share one."""
    groups: dict[tuple[str, str, bool], list[TaskScores]] = {}
    for one in task_scores(content):
        key = (one.kind or one.task, one.metric, bool(one.reason))
        groups.setdefault(key, []).append(one)
    lines = []
    for (name, metric, silent), group in groups.items():
        row = None if silent else _means(group, metric, content["tasks"])
        lines.append(ReportLine(name, group, metric, row))
        chosen = content.get("choices", {})
        if row and all(one.task in chosen for one in group):
            lines.append(ReportLine(name, group, CHOICE, _means(group, CHOICE, chosen)))
        lines += _beside(name, group, row, content["measured"]) if row else []
    return lines


def _beside(
    name: str, group: Sequence[TaskScores], row: Row, measured: dict[str, Any]
) -> Iterator[ReportLine]:
    """Yield lines of what is told beside a metric, means over the tasks at the same shots."""
    found: dict[str, Row] = {}
    for model, tasks in measured.items():
        points = [
            point.beside
            for one in group
            for point in scores_of(tasks[one.task]).points
            if point.shots == row["shots"]
        ]
        for figure in points[0] if points and all(points) else ():
            mean = sum(point[figure] for point in points) / len(points)
            found.setdefault(figure, {"shots": row["shots"]})[model] = mean
    for figure, means in found.items():
        yield ReportLine(name, list(group), figure, means)


def _means(group: Sequence[TaskScores], metric: str, rows: dict[str, list[Row]]) -> Row:
    """Return the means of tasks at the most shots that all of them reach."""
    scored = [Scored(one.task, one.family, metric, one.queries, rows[one.task]) for one in group]
    return mean_rows(scored, min(one.reach for one in scored))[-1]


def _outcome_lines(content: Content) -> Iterator[str]:
    """Yield how many queries the adapter fixed and so on, at the most shots of each task."""
    counts: dict[str, Counter[str]] = {}
    for one in task_scores(content):
        if of_task := content["outcomes"].get(one.task):
            for name in (printable(one.kind or one.task), "in all"):
                counts.setdefault(name, Counter()).update(of_task)
    if counts:
        counts["in all"] = counts.pop("in all")  # the last line
        width = max(map(len, counts)) + 2
        yield f"{'task':<{width}}" + "".join(f"{name:>13}" for name in OUTCOMES)
        for name, found in counts.items():
            yield f"{name:<{width}}" + "".join(f"{found[one]:>13}" for one in OUTCOMES)


def _note_lines(content: Content) -> Iterator[str]:
    asked, tasks = content["asked"], task_scores(content)
    queries = sorted({one.queries for one in tasks if not one.reason})
    if queries:
        number = f"{queries[0]}" if len(queries) == 1 else f"{queries[0]} to {queries[-1]}"
        yield (
            f"{number} queries a task, draws of demonstrations: {asked['evaluation']['draws']},"
            f" seed {asked['seed']}; ± is half a 95 % interval over the queries"
        )
    yield from map(printable, content["notes"])


def draw(content: Content, path: Path) -> None:
    """Write the picture as PNG, SVG or PDF, as the file's name says: one chart for each metric."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    metrics = [one for one in content["metrics"] if one["by_shots"]]
    count = len(metrics)
    figure, charts = pyplot.subplots(
        count, figsize=(6.4, 4.0 * count), layout="constrained", squeeze=False
    )
    for (axes,), metric in zip(charts, metrics, strict=True):
        _draw_metric(axes, metric, models(content), ROLES[role(content)])
    figure.savefig(path, dpi=160)
    pyplot.close(figure)


def _draw_metric(axes: Any, metric: dict[str, Any], names: Sequence[str], what: str) -> None:
    """Draw the curve; points are joined only within one set of tasks."""
    curves = [metric, *metric["others"]]
    shots = sorted({row["shots"] for one in curves for row in one["by_shots"]})
    places = {count: place for place, count in enumerate(shots)}
    for name in names:
        color = COLORS[name]
        for one in metric["others"]:
            _plot(axes, places, one["by_shots"][-2:], name, color=color, linestyle=":", mfc="white")
        _plot(axes, places, metric["by_shots"], name, color=color, linewidth=2)
        last = metric["by_shots"][-1]
        _label(axes, name, places[last["shots"]], last[name], color)
    for one in metric["others"]:
        last = one["by_shots"][-1]
        words = f"{one['tasks']} of {metric['of']} tasks"
        _label(axes, words, places[last["shots"]], last[names[-1]], COLORS[names[-1]])
    title = HEADS.get(metric["metric"], metric["metric"])
    axes.set_title(f"{title} on {what}, {metric['tasks']} of {metric['of']}", fontsize=10)
    axes.set_xticks(range(len(shots)), [str(count) for count in shots])
    axes.set_ylim(0, 100)
    axes.set_xlim(-0.3, len(shots) - 0.2)
    axes.set_xlabel("demonstrations in the context (shots)")
    axes.set_ylabel(f"{title}, %")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _plot(axes: Any, places: dict[int, int], rows: Sequence[Row], name: str, **style: Any) -> None:
    axes.errorbar(
        [places[row["shots"]] for row in rows],
        [100 * row[name] for row in rows],
        [100 * row[f"{name}_margin"] for row in rows],
        marker="o",
        elinewidth=1,
        **style,
    )


def _label(axes: Any, words: str, place: int, height: float, color: str) -> None:
    axes.annotate(
        words,
        (place, 100 * height),
        xytext=(8, 0),
        textcoords="offset points",
        color=color,
        verticalalignment="center",
        fontsize=9,
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
