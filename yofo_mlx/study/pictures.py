"""The pictures of a report, as SVG: accuracy by shots, objectives, gap, forgetting, cost."""

import io
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

from yofo_mlx.study.arms import ARMS, REFERENCE
from yofo_mlx.system.quantities import plural

Summary = Mapping[str, Any]

# One colour an arm in every picture (Okabe and Ito's, which the colour-blind tell apart).
COLORS = {
    "base": "#8a8f98",
    "many-all": "#d55e00",
    "many-last": "#0072b2",
    "zero-shot": "#009e73",
    "many-all-renamed": "#cc79a7",
    "few-last": "#56b4e9",
    "few-all": "#e69f00",
    "dedicated-64": "#777777",
    "dedicated-all": "#000000",
    "fticl": "#8c564b",
    "many-all-values": "#7f3c8d",
    "s3ft": "#005f46",
    "many-all-s3ft": "#8b2f00",
}
DRAWN = ("base", "many-all", "many-last", "zero-shot", "many-all-renamed", "few-last", "few-all")


def draw(summary: Summary) -> dict[str, str]:
    """Return each picture that there are figures for, as the text of an SVG file."""
    found = {name: _drawn(painter, summary) for name, painter in PAINTERS.items()}
    return {name: text for name, text in found.items() if text}


def _drawn(painter: Callable[[Any, Summary], bool], summary: Summary) -> str:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {"svg.fonttype": "none", "svg.hashsalt": painter.__name__, "font.size": 9}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(7.2, 4.2), layout="constrained")
        axes.spines[["top", "right"]].set_visible(False)
        text = io.StringIO()
        if painter(axes, summary):
            figure.savefig(text, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return text.getvalue()


def _accuracy(axes: Any, summary: Summary) -> bool:
    """Draw the curves of the arms, and what dedicated adapters reach as lines across."""
    curves = {n: rows for n, rows in summary["curves"].items() if n in DRAWN and rows}
    if not curves:
        return False
    _curves(axes, curves)
    for number, name in enumerate(_dedicated(summary)):
        best = max(row["mean"] for row in summary["curves"][name])
        axes.axhline(100 * best, color=_color(name), linestyle="--", linewidth=1)
        axes.annotate(
            name,
            (number, 100 * best),
            xytext=(2, 3),
            textcoords="offset points",
            color=_color(name),
            fontsize=8,
        )
    return True


def _curves(axes: Any, curves: Mapping[str, Any]) -> None:
    shots = sorted({row["shots"] for rows in curves.values() for row in rows})
    places = {count: place for place, count in enumerate(shots)}
    most = max(row["tasks"] for rows in curves.values() for row in rows)
    for number, (name, every) in enumerate(curves.items()):
        # A line is over the same tasks from end to end; points over fewer stand beside it.
        rows = [row for row in every if row["tasks"] == most]
        aside = 0.05 * (number - (len(curves) - 1) / 2)  # so that no interval hides another
        means = [100 * row["mean"] for row in rows]
        below = [100 * max(0.0, row["mean"] - row["low"]) for row in rows]
        above = [100 * max(0.0, row["high"] - row["mean"]) for row in rows]
        axes.errorbar(
            [places[row["shots"]] + aside for row in rows],
            means,
            [below, above],
            marker="o",
            markersize=4,
            elinewidth=1,
            color=_color(name),
            linewidth=2.2 if name == REFERENCE else 1.3,
            label=name,
        )
        fewer = [row for row in every if row["tasks"] < most]
        axes.plot(
            [places[row["shots"]] + aside for row in fewer],
            [100 * row["mean"] for row in fewer],
            "o",
            markersize=4,
            markerfacecolor="none",
            color=_color(name),
        )
    axes.set_xticks(range(len(shots)), [str(count) for count in shots])
    axes.set_ylim(0, 100)
    axes.set_xlabel("demonstrations in the context (shots)")
    axes.set_ylabel(f"mean over {plural(most, 'held-out task')}, %")
    if any(row["tasks"] < most for rows in curves.values() for row in rows):
        axes.set_title("hollow: over fewer tasks, as the table says", loc="left", fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _objectives(axes: Any, summary: Summary) -> bool:
    """Draw the last answer against all of them, for episodes of few shots and of many."""
    names = ("few-last", "few-all", "many-last", "many-all")
    curves = {n: summary["curves"][n] for n in names if summary["curves"].get(n)}
    if len(curves) < 2:
        return False
    _curves(axes, curves)
    return True


def _gap(axes: Any, summary: Summary) -> bool:
    """Draw what the dedicated adapters have over the shared one, by shots."""
    rows = [row for row in summary["differences"] if ARMS[row["arm"]].is_dedicated]
    most = max((row["tasks"] for row in rows), default=0)
    rows = [row for row in rows if row["tasks"] == most]
    shots = sorted({row["shots"] for row in rows})
    places = {count: place for place, count in enumerate(shots)}
    for name in _dedicated(summary):
        of_arm = [row for row in rows if row["arm"] == name]
        axes.errorbar(
            [places[row["shots"]] for row in of_arm],
            [-100 * row["mean"] for row in of_arm],
            [
                [100 * (row["high"] - row["mean"]) for row in of_arm],
                [100 * (row["mean"] - row["low"]) for row in of_arm],
            ],
            marker="o",
            elinewidth=1,
            color=_color(name),
            label=f"{name} − {REFERENCE}",
        )
    if not rows:
        return False
    axes.axhline(0, color=_color(REFERENCE), linewidth=1)
    axes.set_xticks(range(len(shots)), [str(count) for count in shots])
    axes.set_xlabel("demonstrations in the context (shots)")
    axes.set_ylabel(f"points above {REFERENCE}")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return True


def _forgetting(axes: Any, summary: Summary) -> bool:
    """Draw how much more than the base model each arm is surprised by plain text."""
    known = {n: one["forgetting"] for n, one in summary["arms"].items() if one["forgetting"]}
    if "base" not in known or len(known) < 2:
        return False
    base = fmean(known.pop("base"))
    for place, (name, losses) in enumerate(known.items()):
        axes.barh(place, fmean(losses) - base, color=_color(name), height=0.6)
        axes.plot([loss - base for loss in losses], [place] * len(losses), "k.", markersize=4)
    axes.set_yticks(range(len(known)), list(known))
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("nats a token more than the base model; dots are seeds")
    return True


def _cost(axes: Any, summary: Summary) -> bool:
    """Draw the best mean of each arm over the minutes that its training took."""
    shown = False
    for name, one in summary["arms"].items():
        rows = summary["curves"].get(name)
        if not one["adapters"] or not rows:
            continue
        total = one["minutes"] * (one["adapters"] / one["seeds"])  # dedicated ones: all of them
        best = 100 * max(row["mean"] for row in rows)
        axes.plot(total, best, "o", color=_color(name), label=name)
        shown = True
    axes.set_ylim(0, 100)
    axes.set_xlim(left=0)
    axes.set_xlabel("minutes of training, of all adapters that are needed")
    axes.set_ylabel("best mean over held-out tasks, %")
    axes.grid(alpha=0.3)
    if shown:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return shown


def _dedicated(summary: Summary) -> list[str]:
    return [name for name, rows in summary["curves"].items() if ARMS[name].is_dedicated and rows]


def _color(name: str) -> str:
    return COLORS[name]


PAINTERS: dict[str, Callable[[Any, Summary], bool]] = {
    "accuracy": _accuracy,
    "objectives": _objectives,
    "gap": _gap,
    "forgetting": _forgetting,
    "cost": _cost,
}
