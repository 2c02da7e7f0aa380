"""Pre-training text, written by a seeded generator: prose, repetitions and exercises.

Every document is a list of (piece, weight): the pieces joined are the text; the weight is the
piece's share in the loss, small where nothing before it tells which piece comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from yofo_mlx.tasks.suite import skills
from yofo_mlx.tasks.suite.vocabulary import NAMES, NUMBERS, TOPICS, vocabulary
from yofo_mlx.tiny.tokenizer import BOS, EOS

NOISE, PROSE, SIGN, SURE = 0.1, 0.25, 0.5, 1.0
JOINED_SHARE = 0.2  # of the exercises: these join the words of an input by arrows

Document = list[tuple[str, float]]

# How often each skill is drawn for an exercise, and the sign of its own before an answer.
SKILLS = {
    "classify": (0.18, ":"),
    "classify_two": (0.10, " &"),
    "relate": (0.16, " ~"),
    "look_up": (0.12, " *"),
    "rewrite": (0.18, " /"),
    "encipher": (0.12, " #"),
    "calculate": (0.05, " +"),
    "spot": (0.09, " @"),
}
OWN_SIGN_SHARE = 0.6  # of the exercises; the others write `=`, and the pairs tell the skill

LEXICON = skills.Lexicon(tuple(TOPICS.values()), NAMES)
WORDS = vocabulary()


@dataclass(frozen=True)
class Notation:
    """How one document joins inputs, and separates input, output and pairs."""

    joint: str
    middle: str
    end: str


def draw_notation(random: Random, sign: str) -> Notation:
    """Return a notation for one document; an arrow never stands before an answer."""
    middle = sign if random.random() < OWN_SIGN_SHARE else " ="
    joint = " ->" if random.random() < JOINED_SHARE else ""
    return Notation(joint, middle, random.choice((".", ";", "\n")))


def glue(word: str) -> str:
    """Return the piece for a word inside a line."""
    return f" {word}"


def exercise(random: Random, skill: str, room: int) -> Document:
    """Write pairs of a skill in one notation until the room, in pieces, is used."""
    draw, document = draw_skill(random, skill, room), Document()
    notation = draw_notation(random, SKILLS[skill][1])
    while len(document) < room:
        given, answer = draw()
        first = given[0] if notation.end == "\n" else glue(given[0])
        document.append((first, NOISE))
        for word in given[1:]:
            document += [(notation.joint, SIGN)] if notation.joint else []
            document.append((glue(word), NOISE))
        document.append((notation.middle, SIGN))
        document += [(glue(word), SURE) for word in answer]
        document.append((notation.end, SIGN))
    return document


def prose(random: Random, room: int) -> Document:
    """Write sentences about one or two topics."""
    topics, document = random.sample(LEXICON.topics, 2), Document()
    topic = topics[0]
    while len(document) < room:
        words = skills.topical(random, topic, random.randint(4, 8), 0.3)
        first = words[0] if document and document[-1][0] == "\n" else glue(words[0])
        document.append((first, PROSE))
        document += [(glue(word), PROSE) for word in words[1:]]
        document.append((".", PROSE))
        if random.random() < 0.3:
            topic = random.choice(topics)
            document.append(("\n", PROSE))
    return document


def chains(random: Random, room: int) -> Document:
    """Write lines of words of one topic joined by arrows."""
    document = Document()
    while len(document) < room:
        words = random.sample(random.choice(LEXICON.topics), random.randint(3, 6))
        document.append((words[0], NOISE))
        for word in words[1:]:
            document += [(" ->", PROSE), (glue(word), PROSE)]
        document.append(("\n", PROSE))
    return document


def repetition(random: Random, room: int) -> Document:
    """Write segments of random words two to five times."""
    document = Document()
    while len(document) < room:
        segment = [glue(random.choice(WORDS)) for _ in range(random.randint(3, 16))]
        if random.random() < 0.5:
            segment[0] = random.choice(("\n", ".", ","))
        for copy in range(random.randint(2, 5)):
            document += [(piece, SURE if copy else NOISE) for piece in segment]
    return document


def spelling(random: Random, room: int) -> Document:
    """Write lines of a word with and without the space before it, so that both mean the same."""
    document = Document()
    while len(document) < room:
        words = random.sample(LEXICON.words + NAMES, random.randint(1, 4))
        document += [("\n", NOISE), (words[0], NOISE)]
        document += [(glue(word), NOISE) for word in words[1:]]
        document += [(",", NOISE), *((glue(word), SURE) for word in words)]
    return document


def draw_skill(random: Random, name: str, room: int) -> skills.Draw:
    """Return a new instance of the named skill, small enough to be learned within the room."""
    few = max(3, room // 16)
    match name:
        case "classify":
            return skills.classify(random, LEXICON, random.randint(2, min(few, 6)))
        case "classify_two":
            return skills.classify_two(random, LEXICON, random.randint(3, 5), random.randint(1, 2))
        case "relate":
            return skills.relate(random, LEXICON, random.randint(2, 8))
        case "look_up":
            return skills.look_up(random, LEXICON, random.randint(2, 4))
        case "rewrite":
            return skills.rewrite(random, LEXICON, random.choice(skills.PATTERNS))
        case "encipher":
            codes = list(NAMES + NUMBERS)
            size, length = random.randint(2, min(few, 12)), random.randint(1, 2)
            return skills.encipher(random, LEXICON, size, length, codes)
        case "calculate":
            return skills.calculate(random, random.choice(list(skills.ARITHMETIC)))
        case "spot":
            return skills.spot(random, LEXICON, random.randint(3, 8))
    raise ValueError(f"no skill named {name}")


def draw_document(random: Random, longest: int) -> Document:
    """Return a document of about a quarter to the whole of the longest length, in pieces."""
    room = random.randint(longest // 4, longest)
    kind = random.random()
    for share, write in ((0.08, prose), (0.13, chains), (0.18, repetition), (0.22, spelling)):
        if kind < share:
            return write(random, room)
    shares = [share for share, _ in SKILLS.values()]
    return exercise(random, random.choices(list(SKILLS), shares)[0], room)


def rows(seed: str, length: int, ids: dict[str, int]) -> Iterator[tuple[list[int], list[float]]]:
    """Yield endless rows of `length` token ids and loss weights, each of whole documents, cut."""
    random = Random(seed)
    while True:
        row: Document = []
        while len(row) < length:
            row += [(BOS, NOISE), *draw_document(random, length), (EOS, NOISE)]
        yield [ids[piece] for piece, _ in row[:length]], [weight for _, weight in row[:length]]
