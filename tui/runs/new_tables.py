"""The two lists of the form of a new run: the recipe's data sets, and its keys and values."""

from collections.abc import Sequence
from typing import Any

from yofo_mlx.system.quantities import plural

from ..shared.table import Cell, Column, ListTable, head
from ..shared.words import MUTED, number
from .new_draft import Draft
from .new_keys import TASK, as_text

RUN, RECIPE = "run", "recipe"  # of the form itself, above the keys
KEYS = "keys"  # the row below them
KEY_WIDTH, VALUE_WIDTH = 31, 22
NARROW_VALUE = 20


class KeyTable(ListTable):
    """Keys of a recipe: what each is, and what is wrong with it or what it was."""

    HELP = """Every key of the recipe that says something, and those that are looked at first.
enter edits a value in its place; what is typed counts at once, and a mistake is told at its key.
tab goes on to the next key, space takes the next choice, r brings back what the recipe says.
/ finds any key by words of its name or its help. • marks what is otherwise than in the recipe."""

    def show(
        self, draft: Draft, keys: Sequence[str], mistakes: dict[str, str], rest: int, width: int
    ) -> None:
        """Show these keys; `rest`: how many are at their defaults."""
        value_width = self.value_width(width)
        values = {key: head(_value(draft, key), value_width) for key in keys}
        names = max((len(key) for key in keys), default=0) + 2
        room = max(8, width - min(names, KEY_WIDTH) - max(map(len, values.values()), default=0) - 8)
        rows = [self._row(draft, key, mistakes, room, values[key]) for key in keys]
        columns = [Column("key"), Column("value"), Column("")]
        shown = list(keys)
        if rest:
            shown.append(KEYS)
            words = f"… {plural(rest, 'key')} at their defaults"
            rows.append([Cell(words, MUTED), Cell(""), Cell("/ finds them", MUTED)])
        self.fill(columns, shown, rows)

    @staticmethod
    def value_width(width: int) -> int:
        """Return how much room a value has."""
        return VALUE_WIDTH if width >= 74 else NARROW_VALUE

    def _row(
        self, draft: Draft, key: str, mistakes: dict[str, str], room: int, shown: str
    ) -> list[Cell]:
        if key in (RUN, RECIPE):
            return [Cell("  run's name" if key == RUN else "  recipe"), Cell(shown), Cell("")]
        wrong, value, other = mistakes.get(key), draft.value(key), draft.is_other(key)
        mark = "✗ " if wrong else "• " if other else "  "
        style = "$text-error" if wrong else ""
        if wrong:
            note = Cell(head(wrong, room), style)
        elif other:
            before = as_text(draft.before(key)) or "left out"
            note = Cell(head(f"was {before}", room), MUTED)
        else:
            note = Cell("")
        said = Cell(shown, style or ("" if value is not None else MUTED))
        name = Cell(head(f"{mark}{key}", KEY_WIDTH), "$text-error" if wrong else "")
        return [name, said, note]


def _value(draft: Draft, key: str) -> str:
    if key == RUN:
        return draft.name
    return draft.recipe.name if key == RECIPE else draft.text(key) or "–"


class SourceTable(ListTable):
    """The data sets of a recipe: role, rows, tokens, how many an episode can show."""

    HELP = """The data sets of the run: rows to train on or to show, their tokens in those of the
model, and how many demonstrations one episode can hold.
enter shows the keys of a data set, space makes it held out or trained on, D leaves it out (u brings
it back), a adds one. What lies on the hub is read when you press l, not before."""

    def show(self, draft: Draft, facts: list[dict[str, Any]], width: int) -> None:
        """Show the data sets; `facts`: what was read of them, by place, as far as it is known."""
        known = {one["place"]: one for one in facts}
        most = draft.value("episodes.max_tokens")
        room = f"in {_length(most)}" if isinstance(most, int) else "shots"
        columns = [
            Column("data"), Column("role"), Column("rows", True), Column("tokens", True),
            Column(room, True), Column(""),
        ]  # fmt: skip
        rows = [
            self._row(source, known.get(place), width) for place, source in enumerate(draft.sources)
        ]
        keys = [f"{TASK}{place}" for place in range(len(rows))]
        self.fill(columns, keys, rows)

    def _row(self, source: dict[str, Any], told: dict[str, Any] | None, width: int) -> list[Cell]:
        name = str(source.get("name") or source.get("source", "–"))
        role = str(source.get("role", "train")).replace("held_out", "held out")
        note = width - 66
        if told is None or told["state"] == "on the hub":
            state = "reading …" if told is None else "on the hub"
            return [Cell(head(f"○ {name}", 24), MUTED), Cell(role), *[Cell("–", MUTED)] * 3,
                    Cell(head(state, max(note, 12)), MUTED)]  # fmt: skip
        if told["state"] == "wrong":
            return [Cell(head(f"✗ {name}", 24), "$text-error"), Cell(role), *[Cell("–", MUTED)] * 3,
                    Cell(head(told["why"][0], max(note, 12)), "$text-error")]  # fmt: skip
        said = plural(len(told["notes"]), "remark") if told["notes"] else ""
        if told["tasks"] > 1:
            said = " · ".join(filter(None, [plural(told["tasks"], "task"), said]))
        mark = "!" if told["notes"] else "✓"
        figures = [told["rows"], told["tokens"], told["shots"]]
        shown = [Cell("–" if one is None else f"{one:,}") for one in figures]
        return [
            Cell(head(f"{mark} {name}", 24), "$text-warning" if told["notes"] else ""),
            Cell(role),
            *shown,
            Cell(said, "$text-warning" if told["notes"] else MUTED),
        ]


def _length(tokens: int) -> str:
    """Return a length of episodes as people speak of it: 32k is 32768."""
    return f"{tokens // 1024}k" if tokens and tokens % 1024 == 0 else number(tokens)
