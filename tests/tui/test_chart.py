"""Charts: what is written along their axes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.draws import draws
from tui.shared.chart import Axes, Chart, Window
from tui.shared.words import number


def labels(last: float, most: int) -> list[str]:
    chart = Chart("loss")
    chart._axes = Axes(number, x_format=lambda x: f"{x:,.0f}")
    return [words for _, words in chart._x_ticks(Window(1, last, 0, 1), most)]


def test_two_steps_have_two_places() -> None:
    assert labels(2, 5) == ["1", "2"]
    assert labels(3, 4) == ["1", "2", "3"]


@given(last=st.integers(2, 5000), most=st.integers(2, 20))
@draws(100)
def test_no_two_places_of_steps_are_called_the_same(last: int, most: int) -> None:
    found = labels(last, most)
    assert len(set(found)) == len(found) <= most
