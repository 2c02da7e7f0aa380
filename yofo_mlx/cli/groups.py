"""`yofo --help`: the verbs by what one wants to do, in the order in which one needs them."""

from itertools import groupby
from operator import itemgetter
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
        verbs: list[tuple[Any, str]] = [
            (self.commands[name], name) for name in self.list_commands(ctx)
        ]
        shown = [(str(verb.rich_help_panel), name, verb) for verb, name in verbs if not verb.hidden]
        width = max(len(name) for _, name, _ in shown)
        shown.sort(key=lambda row: ORDER.index(row[0]))
        for panel, rows in groupby(shown, itemgetter(0)):
            with formatter.section(panel):
                limit = formatter.width - width - 6
                formatter.write_dl(
                    [(name.ljust(width), verb.get_short_help_str(limit)) for _, name, verb in rows]
                )
