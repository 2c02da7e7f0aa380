"""The health of demonstrations, as a session tells it, in lines to read."""

from collections.abc import Iterator

from yofo_mlx.prompting.held import Result


def health_lines(health: Result) -> Iterator[str]:
    """Yield the learning curve, then what there is to say."""
    curve = health["learning"]["curve"]
    if curve:
        yield "demonstrations   nats an answer   expected"
    for stretch in curve:
        places, right = f"{stretch['first']}-{stretch['last']}", stretch["right"]
        count = stretch["last"] - stretch["first"] + 1
        expected = "" if right is None else f"{right} of {count}"
        yield f"{places:>14}   {stretch['loss']:14.2f}   {expected:>8}".rstrip()
    yield from health["told"]
