"""Parts of a report on what a study tries: values of a search, shares of the training rows."""

from collections.abc import Iterator, Mapping
from typing import Any

from yofo_mlx.study.arms import REFERENCE
from yofo_mlx.study.tables import shots_table, table

Summary = Mapping[str, Any]


def rows(summary: Summary) -> Iterator[str]:
    """Yield how accuracy grows with the rows that are trained on."""
    if summary.get("rows"):
        yield "## How much more rows help"
        yield (
            f"`{REFERENCE}` on shares of each training task's rows, with the same tokens. A smaller"
            " share is part of a larger one; demonstrations and queries are the same for all."
        )
        curves = {f"{one['share']:.3g} of the rows": one["curve"] for one in summary["rows"]}
        yield shots_table(curves, seeds=True)


def tried(summary: Summary) -> Iterator[str]:
    """Yield what each combination of values came to, where some were tried."""
    every = summary["tried"]
    if not every:
        return
    yield "## Values that were tried"
    by_loss = summary.get("by_loss")
    yield (
        "With the first seed, on rows of training tasks that are set aside; chosen is the least"
        " `prequential` loss: the mean over all numbers of shots, in nats."
        if by_loss
        else "With the first seed, on held-out tasks that are in no other table."
    ) + f" Arms that are not here have the values of `{REFERENCE}`."
    keys = sorted({key for one in every for key in one["values"]})
    figures = ["score", "loss", *(["prequential"] if by_loss else [])]
    lines = [
        [
            f"`{one['arm']}`",
            *(str(one["values"].get(key, "")) for key in keys),
            f"{100 * one['score']:.1f}",
            *(f"{one[figure]:.3f}" for figure in figures[1:]),
            "chosen" if one["chosen"] else "",
        ]
        for one in every
    ]
    yield table(["arm", *keys, *figures, ""], lines)
