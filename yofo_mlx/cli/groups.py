"""`yofo --help`: the verbs by what one wants to do, in the order in which one needs them."""

from itertools import groupby
from typing import Any

import typer
from typer.core import TyperGroup

DATA = "Data and recipes"
TRAIN = "Train"
ASK = "Measure and ask"
USE = "Use elsewhere"
RUNS = "Runs"
MACHINE = "This machine"
ORDER = (DATA, TRAIN, ASK, USE, RUNS, MACHINE)


class Verbs(TyperGroup):
    """Verbs, each listed under the panel that it was registered with."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write a section for each panel, all of them with one width for the verbs."""
        verbs = [(self.commands[name], name) for name in self.list_commands(ctx)]
        shown = [(_panel(verb), name, verb) for verb, name in verbs if not verb.hidden]
        width = max(len(name) for _, name, _ in shown)
        for panel, rows in groupby(sorted(shown, key=lambda row: ORDER.index(row[0])), _first):
            with formatter.section(panel):
                limit = formatter.width - width - 6
                formatter.write_dl(
                    [(name.ljust(width), verb.get_short_help_str(limit)) for _, name, verb in rows]
                )


def _panel(verb: Any) -> str:
    return str(verb.rich_help_panel)


def _first(row: tuple[str, str, Any]) -> str:
    return row[0]
