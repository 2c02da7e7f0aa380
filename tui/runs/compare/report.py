"""The report of a comparison: Markdown with a picture, in a folder of its own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from yofo_mlx.errors import RunError
from yofo_mlx.runs.names import short, slug
from yofo_mlx.system.files import disk_error, write_text
from yofo_mlx.system.text import printable

from .contender import Contender
from .drawing import letter, loss_lines, shot_lines
from .picture import picture
from .results import result_rows
from .scoreboard import Scoreboard
from .settings import setting_rows

MOST_FOLDERS = 1000  # of one name


def write_report(
    above: Path, contenders: Sequence[Contender], board: Scoreboard, axis: str
) -> Path:
    """Write the report into a new folder below one; return the Markdown file."""
    names = short([one.run.run_id for one in contenders])
    stem = slug("comparison " + " ".join(names[:2]))
    try:
        folder = _new_folder(above, stem)
        write_text(folder / "comparison.svg", _picture(contenders, board, axis))
        path = folder / "report.md"
        write_text(path, markdown(contenders, board))
    except OSError as error:
        raise disk_error(error, above, "the key w again") from error
    return path


def _new_folder(above: Path, stem: str) -> Path:
    for number in range(1, MOST_FOLDERS):
        path = above / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise RunError(f"{above} has {MOST_FOLDERS} folders like {stem}", "remove some of them")


def _picture(contenders: Sequence[Contender], board: Scoreboard, axis: str) -> str:
    losses = loss_lines(contenders, axis, train=False, log=False)
    if not any(line.points for line in losses[0]):
        losses = loss_lines(contenders, axis, train=True, log=False)
    shots = shot_lines(board)
    return picture([(f"loss by {axis}", *losses), (f"{board.metric or 'score'} by shots", *shots)])


def markdown(contenders: Sequence[Contender], board: Scoreboard) -> str:
    """Return the report."""
    return "\n".join(_lines(contenders, board)) + "\n"


def _lines(contenders: Sequence[Contender], board: Scoreboard) -> Iterator[str]:
    letters = [letter(place) for place in range(len(contenders))]
    yield "# Runs compared\n"
    for name, one in zip(letters, contenders, strict=True):
        yield f"- **{name}** {_plain(one.run.run_id)}, on {_plain(one.recipe.get('model', '?'))}"
    yield "\n![loss, and scores by shots](comparison.svg)\n\n## Result\n"
    yield from _table(["", *letters])
    for row in result_rows(contenders, board):
        cells = [
            f"**{value}**" if place == row.best else value for place, value in enumerate(row.values)
        ]
        yield _row([row.what.strip(), *cells])
    yield f"\nThe scores are of the {board.source}s; bold is best."
    yield from (f"\n{note[0].upper()}{note[1:]}." for note in map(_plain, board.notes))
    yield "\n## What differs in the recipes\n"
    rows = setting_rows([one.recipe for one in contenders])
    yield from _table(["key", *letters])
    yield from (_row([row.key, *row.values]) for row in rows if not row.is_same)
    yield f"\n{sum(row.is_same for row in rows)} keys are the same."
    if board.tasks:
        yield "\n## By task, at its most shots\n"
        yield from _table(["task", "metric", "shots", "base", *letters])
        for task in board.tasks:
            bases = "/".join(dict.fromkeys(f"{100 * base:.1f}" for base in task.bases))
            scores = (f"{100 * score:.1f}" for score in task.adapters)
            yield _row([task.task, task.metric, str(task.shots), bases, *scores])


def _table(heads: Sequence[str]) -> Iterator[str]:
    yield _row(heads)
    yield _row(["---"] * len(heads))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _plain(text: object) -> str:
    """Return foreign text that stays one line."""
    return printable(str(text))
