"""The vocabulary that the embedded model knows: topics, names, function words, digits, signs."""

import re
from collections.abc import Iterable

from yofo_mlx.system.text import shorten

_CLUSTERS = {
    "animals": "horse cow pig goat sheep dog rabbit mouse wolf bear deer cat lion tiger",
    "fruit": "apple pear plum cherry grape lemon melon peach banana mango olive fig date lime",
    "tools": "hammer anvil drill wrench pliers chisel axe shovel rake ladder screw nail file vise",
    "weather": "rain snow wind storm fog cloud thunder hail frost sunshine breeze mist ice heat",
    "clothes": "shirt coat hat scarf glove sock shoe belt dress skirt jacket boot vest sweater",
    "furniture": "table chair bed sofa desk shelf lamp drawer mirror stool bench carpet couch crib",
    "vehicles": "car bus train truck bicycle boat plane tram wagon ferry taxi van sled canoe",
    "body": "head hand foot arm leg knee elbow nose ear eye mouth neck shoulder finger",
    "music": "piano violin drum flute trumpet guitar harp cello organ song melody chord tune choir",
    "sports": (
        "soccer tennis golf hockey boxing rowing skiing judo chess rugby polo relay sprint fencing"
    ),
    "colours": (
        "red blue green yellow purple orange brown black white pink grey violet silver golden"
    ),
    "school": (
        "teacher pupil lesson book pencil paper chalk exam class grade essay homework ruler map"
    ),
    "sea": "wave beach shell coral tide reef whale shark crab sailor anchor harbour island lagoon",
    "trees": "oak pine birch maple willow cedar elm ash palm beech poplar larch fir spruce",
    "metals": (
        "iron copper tin zinc lead steel brass bronze nickel gold chrome cobalt mercury radium"
    ),
    "jobs": (
        "doctor nurse lawyer farmer miner cook baker tailor pilot judge clerk barber butcher mason"
    ),
    "kitchen": "pot pan knife fork spoon plate bowl oven kettle stove jar sieve ladle whisk",
    "buildings": (
        "house church cottage tower castle barn bridge hotel museum inn palace abbey prison vault"
    ),
    "family": (
        "mother father sister brother uncle aunt cousin nephew niece grandma grandpa son wife twin"
    ),
    "space": (
        "moon star planet comet rocket galaxy orbit sun meteor crater eclipse quasar pulsar nebula"
    ),
    "feelings": (
        "joy anger fear love hope pride shame envy grief sorrow delight worry trust disgust"
    ),
    "money": "bank coin price tax loan debt salary profit market cash rent wage cheque budget",
    "birds": "crow eagle owl swan duck goose robin sparrow pigeon hawk parrot raven stork gull",
    "drinks": "water milk tea coffee juice wine beer cider cocoa soda broth nectar brandy syrup",
}

TOPICS: dict[str, tuple[str, ...]] = {
    topic: tuple(words.split()) for topic, words in _CLUSTERS.items()
}

NAMES: tuple[str, ...] = tuple(
    (
        "Anna Tom Kate Paul Mary John Lucy Mark Jane Peter Rosa Luke Emma David Alice Simon "
        "Clara Henry Julia Oscar Laura Felix Nora Hugo Sarah Leo Ruth Adam Helen Max Grace Karl "
        "Diana Frank Irene Victor Sofia Martin Ella Oliver Vera Robert Maria Bruno Tina Walter "
        "Ivan Olga Boris Petra Omar Leila Samir Aisha Kofi Amara Jun Yuki Kenji Mei Ravi Priya "
        "Arjun Lena Hans Greta Otto Ingrid Lars Astrid Erik Freya Sven Marta Pablo Carmen Diego "
        "Ines Rafael Bianca Marco Giulia Carlo Elisa Nikos Daphne Jonas Miriam Caleb Naomi Ethan "
        "Judith Gavin Fiona Duncan Moira"
    ).split()
)

FUNCTION_WORDS: tuple[str, ...] = tuple(
    (
        "the a of and in on with to is was at by for from near under some no this that has had "
        "said saw gave means gives becomes makes calls not or but then very old new small big"
    ).split()
)

NUMBERS: tuple[str, ...] = tuple(str(number) for number in range(20))

# Signs that follow a space, and signs that cling to the word before them.
SPACED_SIGNS: tuple[str, ...] = ("->", "?", "=", "|", "+", "-", "*", "/", "(", "~", "&", "#", "@")
CLINGING_SIGNS: tuple[str, ...] = (".", ",", ":", ";", "?", "!", ")")

_SHOWN = 6  # words that a remark names


def vocabulary() -> list[str]:
    """Return every whole word or number that the tokenizer keeps in one piece, in id order."""
    topical = [word for words in TOPICS.values() for word in words]
    return list(dict.fromkeys([*FUNCTION_WORDS, *NUMBERS, *NAMES, *topical]))


def unknown(texts: Iterable[str]) -> list[str]:
    """Return the words and numbers in texts that fall apart into bytes, each once, in order."""
    known = set(vocabulary())
    found = (word for text in texts for word in re.findall(r"\w+", text))
    return [word for word in dict.fromkeys(found) if word not in known]


def remark(texts: Iterable[str]) -> str:
    """Say which words of texts the model does not know; empty where it knows them all."""
    strange = unknown(texts)
    if not strange:
        return ""
    shown = ", ".join(shorten(word, 30) for word in strange[:_SHOWN])
    more = f" and {len(strange) - _SHOWN:,} more" if len(strange) > _SHOWN else ""
    return f"tiny knows {len(vocabulary())} words (docs/tiny.md lists them), not: {shown}{more}"
