"""The task suite of the embedded model: hundreds of training tasks, and held-out ones.

Held-out tasks use topics, labels, patterns and operations that no training task uses, and kinds
that are never trained. Demonstrations are written `words -> words`, as yofo's templates do.
"""

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Literal

from yofo_mlx.recipe.family import Family
from yofo_mlx.tasks.suite import skills
from yofo_mlx.tasks.suite.vocabulary import NAMES, NUMBERS, TOPICS
from yofo_mlx.tasks.task import Example, Task

Role = Literal["train", "held_out"]

TRAIN_TOPICS, TRAIN_NAMES = 16, 64
TRAIN_PATTERNS, TRAIN_OPERATIONS = 27, 4
DEMONSTRATIONS, QUERIES = 120, 32
INSTANCES = {"train": 40, "held_out": 4}  # tasks of each kind

HELD_OUT = "new-"  # how the names of held-out tasks begin

FAMILY_OF: dict[str, Family] = {
    "topic": "classification",
    "themes": "multilabel",
    "pair": "nli",
    "facts": "qa",
    "sums": "math",
    "rewrite": "other",
    "reorder": "other",
    "cipher": "other",
    "spot": "qa",
    "last": "classification",
}
KINDS: dict[Role, tuple[str, ...]] = {
    "train": ("topic", "themes", "pair", "facts", "sums", "rewrite", "cipher"),
    "held_out": (
        "topic",
        "themes",
        "pair",
        "facts",
        "sums",
        "rewrite",
        "reorder",
        "cipher",
        "spot",
        "last",
    ),
}


def tasks(role: Role, seed: int = 0) -> list[Task]:
    """Return the suite's tasks of a role; the same arguments give the same tasks."""
    return [
        draw_task(role, kind, number, seed)
        for number in range(INSTANCES[role])
        for kind in KINDS[role]
    ]


def find(name: str) -> list[Task]:
    """Return the tasks of a role, of a kind such as `new-topic`, or one such as `new-topic-01`."""
    for each in KINDS:
        if name == each:
            return tasks(each)
    role: Role = "held_out" if name.startswith(HELD_OUT) else "train"
    kind, _, number = name.removeprefix(HELD_OUT).partition("-")
    if kind not in KINDS[role]:
        return []
    numbers = range(INSTANCES[role])
    return [draw_task(role, kind, n, 0) for n in numbers if number in ("", f"{n:02}")]


@cache
def draw_task(role: Role, kind: str, number: int, seed: int) -> Task:
    """Draw one task: its labels or mapping, demonstrations, and queries apart from them."""
    random = Random(f"{seed} {role} {kind} {number}")
    draw = draw_skill(random, role, kind)
    examples = distinct(draw, DEMONSTRATIONS + QUERIES)
    queries = min(QUERIES, len(examples) // 4)
    prefix = "" if role == "train" else HELD_OUT
    return Task(
        name=f"{prefix}{kind}-{number:02}",
        family=FAMILY_OF[kind],
        train=tuple(examples[queries : queries + DEMONSTRATIONS]),
        test=tuple(examples[:queries]),
        kind=f"{prefix}{kind}",
    )


def distinct(draw: skills.Draw, count: int) -> list[Example]:
    """Return up to `count` examples with different inputs; a small table has fewer."""
    outputs: dict[str, str] = {}
    for _ in range(4 * count):
        given, answer = draw()
        outputs[" ".join(given)] = " ".join(answer)
        if len(outputs) == count:
            break
    return [Example(given, answer) for given, answer in outputs.items()]


def lexicon(role: Role) -> skills.Lexicon:
    """Return the topics and names of a role; the two roles share none."""
    topics = tuple(TOPICS.values())
    if role == "train":
        return skills.Lexicon(topics[:TRAIN_TOPICS], NAMES[:TRAIN_NAMES])
    return skills.Lexicon(topics[TRAIN_TOPICS:], NAMES[TRAIN_NAMES:])


def patterns(role: Role) -> list[skills.Pattern]:
    """Return the rewriting patterns of a role."""
    shuffled = list(skills.PATTERNS)
    Random("patterns").shuffle(shuffled)
    return shuffled[:TRAIN_PATTERNS] if role == "train" else shuffled[TRAIN_PATTERNS:]


def operations(role: Role) -> list[str]:
    """Return the arithmetic operations of a role."""
    names = list(skills.ARITHMETIC)
    return names[:TRAIN_OPERATIONS] if role == "train" else names[TRAIN_OPERATIONS:]


def draw_skill(random: Random, role: Role, kind: str) -> skills.Draw:
    """Return a new instance of a kind in the words of a role."""
    words = lexicon(role)
    codes = [*words.names, *NUMBERS[:10]]
    makers: dict[str, Callable[[], skills.Draw]] = {
        "topic": lambda: skills.classify(random, words, random.randint(3, 6), most=3),
        "themes": lambda: skills.classify_two(random, words, random.randint(3, 5)),
        "pair": lambda: skills.relate(random, words, random.randint(3, 8)),
        "facts": lambda: skills.look_up(random, words, 2),
        "sums": lambda: skills.calculate(random, random.choice(operations(role))),
        "rewrite": lambda: skills.rewrite(random, words, random.choice(patterns("train"))),
        "reorder": lambda: skills.rewrite(random, words, random.choice(patterns("held_out"))),
        "cipher": lambda: skills.encipher(random, words, random.randint(10, 12), 2, codes),
        "spot": lambda: skills.spot(random, words, random.randint(4, 8)),
        "last": lambda: skills.classify_last(random, words, random.randint(3, 5)),
    }
    return makers[kind]()
