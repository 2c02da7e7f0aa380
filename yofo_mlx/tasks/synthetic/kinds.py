"""Kinds of generated tasks: each draws an instance, which draws rows.

The idea is that of arXiv 2509.06806 (tables from random causal models), in words. What an instance
asks for (labels, table, fields, rule) is drawn with it and said nowhere but in its demonstrations.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from yofo_mlx.recipe.family import Family
from yofo_mlx.tasks.suite.skills import topical
from yofo_mlx.tasks.suite.tasks import Role, lexicon, patterns
from yofo_mlx.tasks.suite.vocabulary import NUMBERS
from yofo_mlx.tasks.synthetic import columns
from yofo_mlx.tasks.synthetic.row import DrawRow, Fields
from yofo_mlx.tasks.synthetic.rules import draw_rule
from yofo_mlx.tasks.synthetic.words import arbitrary

_MOST_CLASSES = 8
_JOINTS = (" ", ", ", " and ", " | ")


@dataclass(frozen=True)
class Kind:
    """What makes instances, and the family of their answers."""

    make: Callable[[Random, Role], DrawRow]
    family: Family
    input: str = "input"
    """What of a row is its input, where a recipe does not say."""


def classify(random: Random, role: Role) -> DrawRow:
    """Words of one topic or of two -> the arbitrary label that stands for it."""
    words = lexicon(role)
    classes = random.randint(2, min(_MOST_CLASSES, len(words.topics)))
    topics = random.sample(words.topics, len(words.topics))
    groups = [list(topic) for topic in topics[:classes]]
    if 2 * classes <= len(topics) and random.random() < 0.3:  # a label that stands for two topics
        groups = [[*one, *two] for one, two in zip(groups, topics[classes:], strict=False)]
    labels = arbitrary(random, words, classes, avoid=topics[: 2 * classes])
    joint, most = random.choice(_JOINTS), random.randint(2, 5)

    def draw() -> Fields:
        label = random.randrange(classes)
        given = topical(random, groups[label], random.randint(2, most), 0.2)
        return {"input": joint.join(given), "output": labels[label]}

    return draw


def translate(random: Random, role: Role) -> DrawRow:
    """Words -> each one's partner in a random table, in an order of the instance's own."""
    words = lexicon(role)
    size, length = random.randint(11, 14), random.randint(2, 3)
    keys = random.sample(words.words, size)
    left = [word for word in (*words.names, *NUMBERS, *words.words) if word not in set(keys)]
    table = dict(zip(keys, random.sample(left, size), strict=True))
    if random.random() < 0.25:
        table = {key: key for key in keys}  # the order alone
    order = random.choice([one for one in patterns(role) if max(one) < length])
    joint = random.choice(_JOINTS[:2])

    def draw() -> Fields:
        given = random.sample(keys, length)
        return {"input": joint.join(given), "output": joint.join(table[given[n]] for n in order)}

    return draw


_SCENES: dict[Role, tuple[str, ...]] = {
    "train": (
        "{person} had {number} {thing} in the {place}",
        "{person} saw the {thing} near the {place}",
        "some {thing} for {person} from the {place} at {number}",
        "the old {thing} of {person} was by the {place}",
        "at {number} the {place} gave {person} a {thing}",
    ),
    "held_out": (
        "in the {place} was a {thing} and {person} said {number}",
        "no {thing} that {person} gave was in the {place}",
        "{number} of the {thing} has {person} at the {place}",
        "the {place} has a {thing} by {person}",
        "new {thing} , said {person} to the {place}",
    ),
}


def extract(random: Random, role: Role) -> DrawRow:
    """A sentence -> the fields that the instance wants, under keys of its own, as JSON."""
    words = lexicon(role)
    things, places = random.sample(words.topics, 2)
    scenes = random.sample(_SCENES[role], 3)
    fields = random.sample(("person", "thing", "place"), random.randint(1, 3))
    keys = dict(
        zip(fields, arbitrary(random, words, len(fields), avoid=[things, places]), strict=True)
    )

    def draw() -> Fields:
        scene = {
            "person": random.choice(words.names),
            "thing": random.choice(things),
            "place": random.choice(places),
            "number": random.choice(NUMBERS),
        }
        answer = {keys[field]: scene[field] for field in fields}
        said = random.choice(scenes).format(**scene)
        return {"input": said, "output": json.dumps(answer, sort_keys=True)}

    return draw


def decide(random: Random, role: Role) -> DrawRow:
    """A record of words and a number -> the label that a hidden rule over its fields gives it."""
    words = lexicon(role)
    fields = [random.sample(topic, 6) for topic in random.sample(words.topics, 3)]
    rule = draw_rule(random, fields, len(NUMBERS), role)
    labels = arbitrary(random, words, rule.outcomes, avoid=fields)
    joint = random.choice(_JOINTS)
    place = random.randint(0, len(fields))  # of the number among the words

    def draw() -> Fields:
        values: list[Any] = [random.choice(field) for field in fields]
        number = random.randrange(len(NUMBERS))
        shown = [*values[:place], str(number), *values[place:]]
        return {"input": joint.join(shown), "output": labels[rule.of(values, number)]}

    return draw


KINDS: dict[str, Kind] = {
    "classify": Kind(classify, "classification"),
    "map": Kind(translate, "other"),
    "extract": Kind(extract, "extraction"),
    "rule": Kind(decide, "classification"),
    "match": Kind(columns.match, "classification"),
    "parse": Kind(columns.parse, "other"),
    "specialist": Kind(columns.specialist, "classification"),
    "annotators": Kind(columns.annotators, "classification", "{annotator}: {input}"),
}
MIXED = ("classify", "map", "extract", "rule")
"""What `all` takes in turn."""
