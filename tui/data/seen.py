"""What is known of a data set that is being added: of its table, as far as it is typed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from textual.content import Content

from yofo_mlx.errors import Cancelled, YofoError
from yofo_mlx.preview.client import PreviewClient
from yofo_mlx.recipe.schema import TaskSource
from yofo_mlx.system.quantities import plural

from ..shared.recipes import near
from ..shared.words import muted, one_line
from .measures import Measure, fitting, measure_from
from .paths import Candidate, candidates, file_size, is_name, of_hub
from .sets import is_remote

SEARCHING = "searching the hub …"


@dataclass(frozen=True)
class Seen:
    """What the process said of a table."""

    table: dict[str, Any]
    columns: dict[str, Any] = field(default_factory=dict)
    measure: Measure | None = None
    size: str = ""
    trouble: str = ""
    is_remote: bool = False

    @property
    def is_hopeless(self) -> bool:
        """Tell whether nothing on this machine can be read as the table says."""
        return not self.is_remote and bool(self.columns.get("trouble")) and not self.has_columns

    def tells_of(self, table: dict[str, Any]) -> bool:
        """Tell whether it is of this table, and found rather than looked for."""
        return self.table == table and self.size != SEARCHING

    @property
    def has_columns(self) -> bool:
        """Tell whether there is something to say which columns become what of."""
        return bool(self.columns.get("columns"))


def looked_at(
    table: dict[str, Any], model: str, client: PreviewClient
) -> Iterator[list[Candidate] | Seen]:
    """Yield what goes on as typed, then what is known of it, more each time; of the hub its size.

    Blocks, so it is for threads; raises Cancelled once the process is stopped.
    """
    text = table["source"]
    found = candidates(text)
    yield found
    if not text or text.endswith(".toml"):
        return
    try:
        if not found and is_name(text):
            yield Seen(table, size=SEARCHING, is_remote=True)
            found = of_hub(client.call("search", words=text)["found"])
            yield found
            if found and all(one.text != text for one in found):
                return
        yield from _steps(table, model, client)
    except Cancelled:
        raise
    except (YofoError, ValueError) as error:
        told = {"trouble": getattr(error, "message", str(error))}
        told["hint"] = getattr(error, "hint", "")
        yield Seen(table, told, is_remote=is_name(text))


def _steps(table: dict[str, Any], model: str, client: PreviewClient) -> Iterator[Seen]:
    source = TaskSource(**table)
    if is_remote(source):
        yield Seen(table, size="asking the hub how large it is …", is_remote=True)
        told = client.call("size", id=source.source)
        yield Seen(table, size=_size_of(told), is_remote=True)
        return
    columns = client.call("columns", source=table)
    yield Seen(table, columns)
    if "examples" in columns:
        told = client.call("tokens", source=table | columns["keys"], model=model)
        measures = [measure_from(one) for one in told["sets"].values()]
        yield Seen(table, columns, measures[0] if measures else None)


def _size_of(told: dict[str, Any]) -> str:
    files = plural(told["files"], "file")
    here = f"; {file_size(told['here'])} of it are here" if told["here"] else ""
    nbytes = file_size(told["nbytes"])
    return f"on the hub: {nbytes} in {files}{here}. enter lists it, l there fetches it"


def summed_up(seen: Seen, model: str) -> Content:
    """Say on a line how many rows there are, how long, and how many fit a context."""
    columns, measure = seen.columns, seen.measure
    if measure is not None:
        shots = (f"{fit} in {name}" for fit, name in fitting(measure))
        said = [plural(measure.rows, "row"), f"{plural(measure.median, 'token')} a row"]
        said += [f"shots: {', '.join(shots)}", f"tokens of {near(model)}"]
    elif "rows" in columns:
        rows = plural(columns["rows"], "row")
        said = [rows if columns["is_all"] else f"the first {rows}", "counting tokens …"]
    else:
        said = []
    return muted(one_line(" · ".join(said), 300).plain)
