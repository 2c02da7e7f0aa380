"""Hidden rules over records: tests of single fields, joined; none that nearly always says one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from yofo_mlx.tasks.suite.tasks import Role

Test = Callable[[Sequence[str], int], bool]
LEAST = 0.2  # of the records have the rarest label of a rule

_FORMS: dict[Role, tuple[str, ...]] = {
    "train": ("one", "both", "either", "branch"),
    "held_out": ("both", "different", "branch", "branch of three"),
}


@dataclass(frozen=True)
class Rule:
    """How many labels it tells apart, and which one a record has."""

    outcomes: int
    of: Callable[[Sequence[str], int], int]


def draw_rule(random: Random, fields: Sequence[Sequence[str]], numbers: int, role: Role) -> Rule:
    """Return a rule over words, one of each field, and a number below `numbers`."""
    while True:
        tests = _tests(random, fields, numbers)
        rule = _joined(random.choice(_FORMS[role]), tests)
        found = [rule.of(words, n) for words in product(*fields) for n in range(numbers)]
        if min(found.count(label) for label in range(rule.outcomes)) >= LEAST * len(found):
            return rule


def _tests(random: Random, fields: Sequence[Sequence[str]], numbers: int) -> list[Test]:
    """Return tests of three different things."""
    least = random.randint(numbers // 4, 3 * numbers // 4)
    tests: list[Test] = [lambda _, number: number >= least]
    for place, field in enumerate(fields):
        wanted = random.sample(field, len(field) // 2)
        tests.append(lambda words, _, place=place, wanted=wanted: words[place] in wanted)  # type: ignore[misc]
    return random.sample(tests, 3)


def _joined(form: str, tests: Sequence[Test]) -> Rule:
    a, b, c = tests
    forms: dict[str, Rule] = {
        "one": Rule(2, lambda words, n: int(a(words, n))),
        "both": Rule(2, lambda words, n: int(a(words, n) and b(words, n))),
        "either": Rule(2, lambda words, n: int(a(words, n) or b(words, n))),
        "different": Rule(2, lambda words, n: int(a(words, n) != b(words, n))),
        "branch": Rule(2, lambda words, n: int((b if a(words, n) else c)(words, n))),
        "branch of three": Rule(3, lambda words, n: 2 if a(words, n) else int(b(words, n))),
    }
    return forms[form]
