"""Episodes of some labels, or of arbitrary words in place of them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat_shapes import SHAPES, build
from tests.fakes import ByteTokenizer
from yofo_mlx.episodes import symbols
from yofo_mlx.episodes.labels import LabelPool, make_label_pool
from yofo_mlx.episodes.sampler import Episode, Pool, Sampler, make_pool, tokenize
from yofo_mlx.episodes.segments import Segmenter
from yofo_mlx.episodes.symbols import Symbols, find_symbols
from yofo_mlx.recipe.schema import Episodes, Template
from yofo_mlx.recipe.section import LabelRange
from yofo_mlx.tasks.task import Example, Task

TOKENIZER = ByteTokenizer()
TEMPLATE = Template(input="{input} ->", output=" {output}\n")
BARE = Segmenter(TOKENIZER, TEMPLATE)
INSTRUCTION = "Name the label."
OPENING = f"{INSTRUCTION}\n\n"
WORDS = tuple(f"{a}{b * length}" for a in "abc" for b in "defgh" for length in (2, 5, 9))

labels = st.text(alphabet="pqrs", min_size=1, max_size=9)
rows = st.lists(
    st.tuples(st.text(alphabet="klmno ", min_size=1, max_size=8).filter(str.strip), labels),
    min_size=2,
    max_size=20,
)


def retold(episode: Episode, segmenter: Segmenter, rows: Iterable[tuple[str, str]]) -> None:
    """Check that an episode is, piece by piece, what a segmenter makes of some of these rows."""
    tokens = [tokenize(segmenter, Example(*row)) for row in rows]
    end = len(segmenter.opening)
    assert episode.tokens[:end] == segmenter.opening
    for number, (start, after) in enumerate(episode.answers):
        pieces = [((one.later if number else one.first), one.answer) for one in tokens]
        assert (episode.tokens[end:start], episode.tokens[start:after]) in pieces
        end = after
    assert end == len(episode.tokens)


def task_of(rows: list[tuple[str, str]], **keys: Any) -> Task:
    examples = tuple(Example(*row) for row in rows)
    return Task("task", "classification", examples, instruction=INSTRUCTION, **keys)


def pool_of(
    task: Task,
    settings: Episodes,
    symbols: Symbols | None = None,
    subset: LabelRange | None = None,
    separator: str | None = None,
    segmenter: Segmenter | None = None,
) -> Pool:
    segmenter = segmenter or Segmenter(TOKENIZER, TEMPLATE, task.instruction)
    return make_label_pool(
        task,
        segmenter,
        settings,
        1.0,
        lambda: None,
        subset=subset,
        symbols=symbols,
        separator=separator,
    )


def said(episode: Episode) -> list[tuple[str, str]]:
    """Return the inputs and answers of an episode, after its opening."""
    text = TOKENIZER.decode(episode.tokens).removeprefix("<s>").removeprefix(OPENING)
    pairs = [line.split(" -> ") for line in text.removesuffix("\n").split("\n")]
    return [(question, answer) for question, answer in pairs]


@given(
    rows=rows,
    low=st.integers(2, 4),
    more=st.integers(0, 4),
    seed=st.integers(0, 99),
    max_tokens=st.integers(50, 200),
)
def test_an_episode_shows_rows_of_so_many_labels_at_most_whole_and_as_they_are(
    rows: list[tuple[str, str]], low: int, more: int, seed: int, max_tokens: int
) -> None:
    settings = Episodes(max_tokens=max_tokens, draw="full")
    pool = pool_of(task_of(rows), settings, subset=(low, low + more))
    for step in range(4):
        [episode] = Sampler([pool], settings, seed).draw(step, 0, 1)
        shown = said(episode)
        assert {(q.strip(), a) for q, a in shown} <= {(q.strip(), a) for q, a in rows}
        assert 1 <= len({answer for _, answer in shown}) <= low + more
        assert len(episode.tokens) <= max_tokens
        assert not episode.renamed


def test_the_sizes_of_subsets_are_spread_over_their_range_and_every_label_is_drawn() -> None:
    task = task_of([(f"q{i:03}", f"l{i % 12}") for i in range(120)])
    settings = Episodes(max_tokens=4000, draw="full")  # room for all rows: a subset is seen whole
    sampler = Sampler([pool_of(task, settings, subset=(3, 6))], settings, 0)
    shown = [{answer for _, answer in said(sampler.draw(step, 0, 1)[0])} for step in range(200)]
    sizes = Counter(map(len, shown))
    assert sizes.keys() == {3, 4, 5, 6} and min(sizes.values()) > 30
    assert set.union(*shown) == set(task_labels(task))


def task_labels(task: Task) -> list[str]:
    return sorted({example.output for example in task.train})


@given(
    rows=rows,
    seed=st.integers(0, 99),
    max_tokens=st.integers(50, 300),
    subset=st.sampled_from([None, (2, 3)]),
)
def test_labels_become_words_one_for_each_and_the_same_within_an_episode(
    rows: list[tuple[str, str]],
    seed: int,
    max_tokens: int,
    subset: LabelRange | None,
) -> None:
    settings = Episodes(max_tokens=max_tokens, draw="full", rename_labels=1.0)
    symbols = Symbols(WORDS, BARE)
    task = task_of(rows)
    pool = pool_of(task, settings, symbols, subset)
    sampler = Sampler([pool], settings, seed)
    for step in range(3):
        [episode] = sampler.draw(step, 0, 1)
        assert sampler.draw(step, 0, 1) == [episode]
        assert len(episode.tokens) <= max_tokens and episode.answers
        if not episode.renamed:  # no word was short enough
            assert said(episode)
            continue
        back = {word: label for label, word in episode.renamed.items()}
        assert len(back) == len(episode.renamed) and back.keys() <= {*WORDS}
        shown = [(q, episode.renamed[a]) for q, a in rows if a in episode.renamed]
        retold(episode, BARE, shown)


@given(rows=rows, seed=st.integers(0, 99), step=st.integers(0, 10**6))
def test_what_is_drawn_stays_the_same_where_nothing_is_to_vary(
    rows: list[tuple[str, str]], seed: int, step: int
) -> None:
    settings, task = Episodes(max_tokens=150), task_of(rows)
    plain = make_pool("task", task.train, Segmenter(TOKENIZER, TEMPLATE, INSTRUCTION), 150)
    labelled = pool_of(task, settings)
    one, two = (Sampler([pool], settings, seed).draw(step, 0, 3) for pool in (plain, labelled))
    assert one == two


def test_about_the_asked_share_of_the_episodes_is_renamed() -> None:
    task = task_of([(f"q{i:03}", f"l{i % 4}") for i in range(40)])
    settings = Episodes(max_tokens=300, rename_labels=0.3)
    symbols = Symbols(tuple(f"word{letter}" for letter in "abcdefgh"), BARE)
    sampler = Sampler([pool_of(task, settings, symbols)], settings, 0)
    drawn = [sampler.draw(step, 0, 1)[0] for step in range(500)]
    renamed = [episode for episode in drawn if episode.renamed]
    assert 0.25 < len(renamed) / len(drawn) < 0.35
    maps = {tuple(sorted(episode.renamed.items())) for episode in renamed}
    assert len(maps) > 50  # drawn afresh each time
    for episode in drawn:
        assert (OPENING in TOKENIZER.decode(episode.tokens)) != bool(episode.renamed)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("style", ["chat", "plain"])
def test_renamed_episodes_are_as_any_without_an_instruction_for_each_kind_of_model(
    name: str, style: str
) -> None:
    tokenizer = build(SHAPES[name])
    template = Template(style=style)
    bare, instructed = (Segmenter(tokenizer, template, text) for text in ("", INSTRUCTION))
    rows = [(f"in {n}", f"out {n % 3}") for n in range(9)]
    settings = Episodes(max_tokens=400, rename_labels=0.5)
    pool = pool_of(task_of(rows), settings, Symbols(WORDS, bare), segmenter=instructed)
    sampler = Sampler([pool], settings, 0)
    kinds = set()
    for step in range(8):
        [episode] = sampler.draw(step, 0, 1)
        renamed = episode.renamed
        shown = [(q, renamed[a]) for q, a in rows if a in renamed] if renamed else rows
        retold(episode, bare if renamed else instructed, shown)
        kinds.add(bool(renamed))
    assert kinds == {True, False}


@given(seed=st.integers(0, 99))
def test_each_label_of_an_answer_of_several_becomes_a_word(seed: int) -> None:
    sets = [[f"l{m}" for m in range(6) if n >> m & 1] for n in range(1, 60, 3)]
    rows = [(f"in {n}", ", ".join(several)) for n, several in enumerate(sets)]
    settings = Episodes(max_tokens=400, draw="full", rename_labels=1.0)
    pool = pool_of(task_of(rows), settings, Symbols(WORDS, BARE), separator=", ")
    [episode] = Sampler([pool], settings, seed).draw(0, 0, 1)
    names = episode.renamed
    assert names.keys() <= {f"l{m}" for m in range(6)} and len({*names.values()}) == len(names)
    known = [(q, a.split(", ")) for q, a in rows]
    retold(
        episode,
        BARE,
        [(q, ", ".join(names[one] for one in a)) for q, a in known if names.keys() >= {*a}],
    )


def test_no_label_becomes_a_word_that_is_a_part_of_a_label() -> None:
    words = Symbols(("account", "apple", "balance", "card", "chair"), BARE)
    task = task_of([(f"q{i:02}", ["Card_Lost", "account balance"][i % 2]) for i in range(20)])
    settings = Episodes(max_tokens=300, rename_labels=1.0)
    sampler = Sampler([pool_of(task, settings, words)], settings, 0)
    drawn = {word for step in range(9) for word in sampler.draw(step, 0, 1)[0].renamed.values()}
    assert drawn == {"apple", "chair"}


@pytest.mark.parametrize(("more", "renamed"), [(99, False), (1, False), (0, True)])
def test_where_words_are_too_long_for_an_episode_labels_stay_as_they_are(
    more: int, renamed: bool
) -> None:
    settings = Episodes(max_tokens=len(OPENING) + 12, rename_labels=1.0)
    longest = settings.max_tokens - len([*BARE.opening, *BARE.question("q"), *BARE.answer("")])
    words = Symbols(("x" * (longest + more), "y" * (longest + more)), BARE)
    pool = pool_of(task_of([("q", "a"), ("p", "b")]), settings, words)
    [episode] = Sampler([pool], settings, 0).draw(0, 0, 1)
    assert bool(episode.renamed) == renamed and episode.answers


def test_words_are_the_commonest_of_the_inputs_that_a_tokenizer_can_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [("red red blue 77 x1y Green ab größe", "l"), ("blue red ΑΒΓ αβγδ", "l")]
    found = find_symbols([task_of(rows)], BARE)
    assert found.words == ("blue", "größe", "red", "αβγδ")
    assert find_symbols([task_of(rows)], Segmenter(Asciist(), TEMPLATE)).words == ("blue", "red")
    monkeypatch.setattr(symbols, "MOST_WORDS", 2)
    assert find_symbols([task_of(rows)], BARE).words == ("blue", "red")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("characteristically good", {"good"}),  # no piece of a long word
        ("gro\u0308\u00dfe ok", {"gro\u0308\u00dfe"}),  # an o and its dots
        ("मुझे अपना बैलेंस देखना है", {"मुझे", "अपना", "बैलेंस", "देखना"}),
        ("أريد معرفة رصيدي", {"أريد", "معرفة", "رصيدي"}),
        ("查询余额 iphone", {"查询", "询余", "余额", "iphone"}),
        ("สวัสดี", {"สวั", "วัส", "สดี"}),
    ],
)
def test_words_of_any_script_are_whole_and_none_is_a_whole_sentence(
    text: str, words: set[str]
) -> None:
    found = find_symbols([task_of([(text, "l"), (f"{text} 7", "m")])], BARE)
    assert {*found.words} == words
    assert {found.words[place] for place in found.own_to([f"0-{text}-1"])} == words


class Asciist(ByteTokenizer):
    """Knows no letters but English ones."""

    def decode(self, token_ids: list[int]) -> str:
        return super().decode(token_ids).encode("ascii", "replace").decode()


def test_what_labels_take_in_memory_is_little() -> None:
    rows = [(f"some words that are said {i}", f"label{i % 5}") for i in range(300)]
    settings = Episodes(max_tokens=400, label_subset=(2, 3), rename_labels=0.5)
    task = task_of(rows)
    pool = pool_of(task, settings, Symbols(WORDS, BARE), (2, 3))
    plain = make_pool("task", task.train, BARE, 400)
    assert pool.demonstrations.nbytes == plain.demonstrations.nbytes
    assert isinstance(pool, LabelPool)
    assert pool.nbytes - plain.nbytes < 5 * len(rows)
    assert pool.renaming is not None and pool.renaming.firsts is None  # they do not differ here
