"""Kinds whose rows are shaped as those of studies of the related work, some with more columns."""

from random import Random

from yofo_mlx.tasks.suite.tasks import Role, lexicon
from yofo_mlx.tasks.suite.vocabulary import NUMBERS
from yofo_mlx.tasks.synthetic.row import SPLIT, DrawRow, Fields
from yofo_mlx.tasks.synthetic.words import arbitrary

TESTED = 0.15  # of what is drawn, where a kind itself parts queries from training rows
TEXTS = 90  # that annotators see
SAME, OTHER = "match", "no match"


def match(random: Random, role: Role) -> DrawRow:
    """Two records of things -> whether they are of one thing (entity matching, 2409.08185).

    Which fields tell things apart is the instance's own; the others are written in any way.
    """
    words = lexicon(role)
    topics = random.sample(words.topics, 2)
    pools = [*(list(topic) for topic in topics), list(words.names), list(NUMBERS)]
    telling = random.sample(range(len(pools)), 2)

    def other_than(word: str, pool: list[str]) -> str:
        return random.choice([one for one in pool if one != word])

    def draw() -> Fields:
        left = [random.choice(pool) for pool in pools]
        right = list(left)
        for place, pool in enumerate(pools):
            if place not in telling and random.random() < 0.5:
                right[place] = other_than(left[place], pool)
        if different := random.random() < 0.5:  # in one field, so that the records are alike
            place = random.choice(telling)
            right[place] = other_than(left[place], pools[place])
        if random.random() < 0.5:
            random.shuffle(right)
        return {
            "input": f"{' '.join(left)} | {' '.join(right)}",
            "output": OTHER if different else SAME,
        }

    return draw


def parse(random: Random, role: Role) -> DrawRow:
    """A sentence -> its logical form (semantic parsing, 2211.08473).

    `part` is `trained` for training rows; of queries `inside` where their verb and thing are shown
    together in training rows, `outside` where only each of the two is shown.
    """
    words = lexicon(role)
    topic, place_topic = random.sample(words.topics, 2)
    things, places = random.sample(topic, 6), random.sample(place_topic, 4)
    verbs = dict(zip(("saw", "gave", "had", "becomes"), random.sample(words.names, 4), strict=True))
    people = [name for name in words.names if name not in verbs.values()][:12]
    # Of each thing one verb is new, and each verb is so for one thing or two.
    shift = random.randrange(len(verbs))
    new = {(list(verbs)[(n + shift) % len(verbs)], thing) for n, thing in enumerate(things)}
    order = random.sample(range(3), 3)
    asked: dict[str, bool] = {}  # a sentence is not drawn twice for two splits

    def draw() -> Fields:
        verb, thing = random.choice(list(verbs)), random.choice(things)
        who, where = random.choice(people), random.choice(places)
        said = f"{who} {verb} the {thing} near the {where}"
        is_outside = (verb, thing) in new
        is_asked = asked.setdefault(said, is_outside or random.random() < TESTED)
        facts = (who, thing, where)
        return {
            "input": said,
            "output": f"{verbs[verb]} ( {' , '.join(facts[n] for n in order)} )",
            "part": "outside" if is_outside else "inside" if is_asked else "trained",
            SPLIT: "test" if is_asked else "train",
        }

    return draw


def specialist(random: Random, role: Role) -> DrawRow:
    """Words of a topic, vaguely -> its label, with a classifier's guess (SuperContext, 2312.15918).

    `prediction` is right as often as `confidence` says.
    """
    words = lexicon(role)
    classes = random.randint(3, 5)
    topics = random.sample(words.topics, classes)
    labels = arbitrary(random, words, classes, avoid=topics)

    def draw() -> Fields:
        label = random.randrange(classes)
        other = random.choice([n for n in range(classes) if n != label])
        given = [*random.sample(topics[label], 2), random.choice(topics[other])]
        random.shuffle(given)
        confidence = random.choice((50, 60, 70, 80, 90, 95, 99))
        is_right = random.random() < confidence / 100
        wrong = random.choice([n for n in range(classes) if n != label])
        return {
            "input": " ".join(given),
            "output": labels[label],
            "prediction": labels[label if is_right else wrong],
            "confidence": f"0.{confidence}",
        }

    return draw


def annotators(random: Random, role: Role) -> DrawRow:
    """Words -> what an annotator says of them (2410.13776); `aggregate` is what most would say.

    Each annotator cares for topics of its own. All of a text's rows are of one split.
    """
    words = lexicon(role)
    topics = random.sample(words.topics, 6)
    names = random.sample(words.names, 3)
    cares = {name: set().union(*random.sample(topics, 3)) for name in names}
    labels = arbitrary(random, words, 2, avoid=topics)
    texts = [[random.choice(topic) for topic in random.sample(topics, 3)] for _ in range(TEXTS)]
    asked = range(round(TESTED * TEXTS))

    def says(name: str, given: list[str]) -> int:
        return int(2 * sum(word in cares[name] for word in given) > len(given))

    def draw() -> Fields:
        place, name = random.randrange(TEXTS), random.choice(names)
        given = texts[place]
        agreed = 2 * sum(says(one, given) for one in names) > len(names)
        return {
            "input": " ".join(given),
            "output": labels[says(name, given)],
            "annotator": name,
            "aggregate": labels[agreed],
            SPLIT: "test" if place in asked else "train",
        }

    return draw
