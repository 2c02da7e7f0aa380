"""Accuracy by number of shots, base against adapter: as an object, a table and a picture."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yofo_mlx.evaluate import Measure, mean_by_shots
from yofo_mlx.text import printable

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Report:
    """Means over the held-out tasks, and the figures of each task."""

    run_id: str
    by_shots: Rows  # {shots, base, adapter, base_loss, adapter_loss, tasks}
    tasks: dict[str, Rows]

    @classmethod
    def join(cls, run_id: str, base: Sequence[Measure], adapter: Sequence[Measure]) -> "Report":
        """Put what base and adapter scored on the same queries side by side."""
        names = list(dict.fromkeys(measure.task for measure in base))
        by_task = {
            name: _side_by_side(
                [measure for measure in base if measure.task == name],
                [measure for measure in adapter if measure.task == name],
            )
            for name in names
        }
        return cls(run_id, _side_by_side(base, adapter), by_task)

    def as_dict(self) -> dict[str, Any]:
        """Return what `yofo eval --json` prints."""
        return {"run_id": self.run_id, "by_shots": self.by_shots, "tasks": self.tasks}


def _side_by_side(base: Sequence[Measure], adapter: Sequence[Measure]) -> Rows:
    pairs = zip(mean_by_shots(base), mean_by_shots(adapter), strict=True)
    return [
        {
            "shots": one["shots"],
            "base": round(one["accuracy"], 4),
            "adapter": round(two["accuracy"], 4),
            "base_loss": round(one["loss"], 4),
            "adapter_loss": round(two["loss"], 4),
            "tasks": one["tasks"],
        }
        for one, two in pairs
    ]


def table(report: Report) -> str:
    """Return the means, and accuracy at the most shots by task, as lines of text."""
    lines = ["Accuracy on held-out tasks, in percent", ""]
    lines.append(f"{'shots':>8}{'base':>8}{'adapter':>9}{'tasks':>7}")
    lines += [
        f"{row['shots']:>8}{_percent(row['base']):>8}{_percent(row['adapter']):>9}{row['tasks']:>7}"
        for row in report.by_shots
    ]
    groups = _groups(report)
    width = max(len(printable(name)) for name in groups) + 2
    lines += ["", f"{'task':<{width}}{'tasks':>5}{'shots':>7}{'base':>8}{'adapter':>9}"]
    for name, rows in groups.items():
        shots = {row["shots"] for row in rows}
        shown = f"{shots.pop()}" if len(shots) == 1 else "most"
        figures = [sum(row[which] for row in rows) / len(rows) for which in ("base", "adapter")]
        lines.append(
            f"{printable(name):<{width}}{len(rows):>5}{shown:>7}"
            f"{_percent(figures[0]):>8}{_percent(figures[1]):>9}"
        )
    return "\n".join(lines)


def _groups(report: Report) -> dict[str, Rows]:
    """Return each task's row of the most shots; tasks told apart by a number share a group."""
    groups: dict[str, Rows] = {}
    for name, rows in report.tasks.items():
        if rows:
            groups.setdefault(re.sub(r"[-_ ]?\d+$", "", name) or name, []).append(rows[-1])
    return groups


def draw(report: Report, path: Path) -> None:
    """Write the picture as PNG, SVG or PDF, as the file's name says."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    places = range(len(report.by_shots))
    for name, color in (("base", "#8a8f98"), ("adapter", "#d9480f")):
        heights = [100 * row[name] for row in report.by_shots]
        axes.plot(places, heights, marker="o", color=color, linewidth=2)
        axes.annotate(
            name,
            (len(heights) - 1, heights[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            color=color,
            verticalalignment="center",
        )
    axes.set_xticks(places, [str(row["shots"]) for row in report.by_shots])
    axes.set_ylim(0, 100)
    axes.set_xlim(-0.3, len(report.by_shots) - 0.2)
    axes.set_xlabel("demonstrations in the context (shots)")
    axes.set_ylabel("accuracy on held-out tasks, %")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=160)
    pyplot.close(figure)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
