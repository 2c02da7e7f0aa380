from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx.prompting.retrieval import Similarity, SimilarTail, grams
from yofo_mlx.prompting.selection import Room, balanced
from yofo_mlx.tasks.task import Example

CARDS = [
    Example("where is my new card", "card"),
    Example("the transfer has failed", "transfer"),
    Example("my cards were stolen", "stolen"),
    Example("我的卡在哪里", "card"),
    Example("转账失败了", "transfer"),
]


def tail_of(examples: list[Example], limit: int | None = None, **more: object) -> SimilarTail:
    return SimilarTail(Similarity(examples), Room(limit), lambda _: 10, **more)  # type: ignore[arg-type]


def test_the_most_similar_stands_next_to_the_query() -> None:
    assert tail_of(CARDS, shots=2).tail("where is the card?")[-1] == CARDS[0]


def test_inflected_words_and_scripts_without_blanks_are_found() -> None:
    similarity = Similarity(CARDS)
    assert next(similarity.ranked("STEALING: stole!")) == CARDS[2]
    assert next(similarity.ranked("卡在哪里")) == CARDS[3]
    assert next(similarity.ranked("转账")) == CARDS[4]


def test_what_is_like_nothing_gets_them_in_their_order() -> None:
    for query in ("", "zzzz", "\u0416"):
        assert list(Similarity(CARDS).ranked(query)) == CARDS


def test_nothing_to_choose_from_is_an_empty_tail() -> None:
    assert tail_of([]).tail("anything") == ()


def test_what_all_queries_see_is_not_shown_twice() -> None:
    tail = tail_of(CARDS, shots=3, bulk=frozenset(CARDS[:1])).tail("where is my new card")
    assert CARDS[0] not in tail
    assert len(tail) == 3


def test_a_tail_ends_where_the_room_does() -> None:
    assert len(tail_of(CARDS, limit=40).tail("card")) == 3  # 5 are kept, 10 for a query as long


@draws(60)
@given(
    rows=st.lists(st.text(max_size=6), max_size=12), query=st.text(max_size=8), seed=st.integers()
)
def test_a_ranking_holds_each_once_whatever_order_they_were_given_in(
    rows: list[str], query: str, seed: int
) -> None:
    examples = [Example(row, "x") for row in rows]
    one = list(Similarity(balanced(examples, seed)).ranked(query))
    other = list(Similarity(balanced(examples[::-1], seed)).ranked(query))
    assert one == other
    assert sorted(one, key=repr) == sorted(set(examples), key=repr)


@draws(60)
@given(st.text())
def test_every_text_has_grams(text: str) -> None:
    assert grams(text)
