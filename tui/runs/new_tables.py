"""The two lists of the form of a new run: the recipe's data sets, and its keys and values."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.cells import cell_len

from yofo_mlx.system.quantities import plural

from ..shared.recipes import near
from ..shared.table import Cell, Column, ListTable, head, tail
from ..shared.words import MUTED, number
from .new_draft import Draft, look_up, text_in
from .new_keys import TASK, as_text

RUN, RECIPE = "run", "recipe"  # of the form itself, above the keys
KEYS = "keys"  # the row below them
KEY_WIDTH, VALUE_WIDTH = 31, 20
NARROW_VALUE = 18
PLACES = ("model", "init_adapter", "source")  # paths and hub ids, which differ at their end
SOURCE_WIDTH = 22
BESIDE_NAME = 46  # what the other columns of a data set take, their figures at their widest


class KeyTable(ListTable):
    """Keys of a recipe: what each is, and what is wrong with it or what it was."""

    HELP = """Every key of the recipe that says something, and those that are looked at first.
enter edits a value in its place; what is typed counts at once, and a mistake is told at its key.
tab goes on to the next key, space takes the next choice, r brings back what the recipe says.
/ finds any key by words of its name or its help. • marks what is otherwise than in the recipe."""

    def __init__(self, opens: Callable[[], None]) -> None:
        """`opens`: is called for the row under the cursor, before the next key is handed on."""
        super().__init__()
        self._opens = opens

    def action_select_cursor(self) -> None:
        """Open the row under the cursor."""
        self._opens()

    def show(
        self, draft: Draft, keys: Sequence[str], mistakes: dict[str, str], rest: int, width: int
    ) -> None:
        """Show these keys; `rest`: how many are at their defaults."""
        data, wide = draft.data(), self.value_width(width)
        room = max(8, width - KEY_WIDTH - wide - 8)
        rows = [self._row(draft, data, key, mistakes.get(key), room, wide) for key in keys]
        columns = [
            Column(f"{'key':<{KEY_WIDTH}}"),
            Column(f"{'value':<{wide}}"),
            Column(" " * room),
        ]
        shown = list(keys)
        if rest:
            shown.append(KEYS)
            words = f"… {plural(rest, 'key')} at their defaults"
            rows.append([Cell(words, MUTED), Cell(""), Cell("/ finds them", MUTED)])
        self.fill(
            columns, shown, rows
        )  # as wide whatever is in them: nothing moves while one types

    @staticmethod
    def value_width(width: int) -> int:
        """Return how much room a value has."""
        return VALUE_WIDTH if width >= 74 else NARROW_VALUE

    def _row(
        self,
        draft: Draft,
        data: dict[str, Any],
        key: str,
        wrong: str | None,
        room: int,
        wide: int,
    ) -> list[Cell]:
        if key in (RUN, RECIPE):
            name = draft.name if key == RUN else draft.recipe.name
            return [Cell("  run's name" if key == RUN else "  recipe"), Cell(name), Cell("")]
        other = draft.is_other(key)
        mark, style = ("✗ ", "$text-error") if wrong else ("• " if other else "  ", "")
        note = Cell(head(wrong or "", room), style)
        if other and not wrong:
            note = Cell(head(f"was {as_text(draft.before(key)) or 'left out'}", room), MUTED)
        is_said = look_up(data, key) is not None
        text = text_in(data, key) or "–"
        is_place = key.rpartition(".")[2] in PLACES
        said = tail(near(text), wide) if is_place else head(text, wide)
        name = head(f"{mark}{key}", KEY_WIDTH)
        return [Cell(name, style), Cell(said, style or ("" if is_said else MUTED)), note]


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
        shots = f"in {_length(most)}" if isinstance(most, int) else "shots"
        columns = [
            Column("data"), Column("role"), Column("rows", True), Column("tokens", True),
            Column(shots, True), Column(""),
        ]  # fmt: skip
        names = [_name(source) for source in draft.sources]
        room = max(12, width - max(map(cell_len, names), default=0) - BESIDE_NAME)
        rows = [
            self._row(source, name, known.get(place), room)
            for place, (source, name) in enumerate(zip(draft.sources, names, strict=True))
        ]
        keys = [f"{TASK}{place}" for place in range(len(rows))]
        self.fill(columns, keys, rows)

    def _row(
        self, source: dict[str, Any], name: str, told: dict[str, Any] | None, room: int
    ) -> list[Cell]:
        role = str(source.get("role", "train")).replace("held_out", "held out")
        if told is None or told["state"] == "on the hub":
            state = "reading …" if told is None else "on the hub"
            return [Cell(f"○ {name}", MUTED), Cell(role), *[Cell("–", MUTED)] * 3,
                    Cell(head(state, room), MUTED)]  # fmt: skip
        if told["state"] == "wrong":
            why = near(told["why"][0]).removeprefix(f"{name}:").strip()
            return [Cell(f"✗ {name}", "$text-error"), Cell(role), *[Cell("–", MUTED)] * 3,
                    Cell(head(why, room), "$text-error")]  # fmt: skip
        said = plural(len(told["notes"]), "remark") if told["notes"] else ""
        if told["tasks"] > 1:
            said = " · ".join(filter(None, [plural(told["tasks"], "task"), said]))
        mark = "!" if told["notes"] else "✓"
        figures = [told["rows"], told["tokens"], told["shots"]]
        shown = [Cell("–" if one is None else f"{one:,}") for one in figures]
        return [
            Cell(f"{mark} {name}", "$text-warning" if told["notes"] else ""),
            Cell(role),
            *shown,
            Cell(said, "$text-warning" if told["notes"] else MUTED),
        ]


def _name(source: dict[str, Any]) -> str:
    """Return what a data set is called, short."""
    return tail(near(str(source.get("name") or source.get("source", "–"))), SOURCE_WIDTH)


def _length(tokens: int) -> str:
    """Return a length of episodes as people speak of it: 32k is 32768."""
    return f"{tokens // 1024}k" if tokens and tokens % 1024 == 0 else number(tokens)
