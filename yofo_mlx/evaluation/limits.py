"""What the limits of a measurement leave out, in words."""

from collections.abc import Callable, Iterator, Sequence

from yofo_mlx.evaluation.scores import TaskScores

NAMED = 5  # tasks named in one note
ROOM = "raise evaluation.max_tokens (left out: episodes.max_tokens), or shorten the examples"


def notes(tasks: Sequence[TaskScores], what: str) -> Iterator[tuple[str, str]]:
    """Yield a note, as message and hint, for each way in which something is left out.

    `what` is what the tasks are, such as `held-out tasks`.
    """

    def note(words: str, of_task: Callable[[TaskScores], str]) -> str:
        told = [f"{one.task}: {text}" for one in tasks if (text := of_task(one))]
        more = f"; and {len(told) - NAMED} more tasks" if len(told) > NAMED else ""
        return f"{what}: {words} ({'; '.join(told[:NAMED])}{more})" if told else ""

    silent = sum(bool(one.reason) for one in tasks)
    limits = sorted({one.answer_limit for one in tasks if one.cut and one.answer_limit})
    found = [
        (note(f"{silent} of {len(tasks)} cannot be measured", lambda one: one.reason), ROOM),
        (note("queries that do not fit are passed over", _queries), ROOM),
        (note("demonstrations too long for any prompt are not shown", _demonstrations), ROOM),
        (
            note(
                f"expected answers are cut by evaluation.max_answer_tokens ="
                f" {', '.join(map(str, limits))}: no answer can match them",
                lambda one: f"{one.cut} of {one.queries}" if one.cut else "",
            ),
            "leave it out: then the limit follows the data",
        ),
    ]
    yield from ((message, hint) for message, hint in found if message)


def _queries(one: TaskScores) -> str:
    seen = one.passed_over + one.queries
    return f"{one.passed_over} of {seen}" if one.passed_over and not one.reason else ""


def _demonstrations(one: TaskScores) -> str:
    return f"{one.too_long}" if one.too_long else ""
