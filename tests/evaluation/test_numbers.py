"""Numbers as they are written, by value."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.evaluation.numbers import last_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("so it makes 1,000.", "1000"),
        ("1,234,567 apples", "1234567"),
        ("1,000, and no more", "1000"),
        ("1'000", "1000"),
        ("1\u202f000,5", "1000.5"),
        ("1.000", "1"),
        ("1.234.567", "1234567"),
        ("1.234,56", "1234.56"),
        ("3,5", "3.5"),
        ("12,3456", "12.3456"),
        ("1,2,3", "3"),
        ("10,20,300", "300"),
        ("1,000,5", "5"),
        ("1.2.3", "3"),
        ("It is $18.00", "18"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("€1,000.50.", "1000.5"),
        ("minus: \u22123", "-3"),
        ("10-3", "3"),
        ("2024-05-06", "6"),
        ("x = -4", "-4"),
        ("50%", "50"),
        ("3/4", "0.75"),
        ("-3 / 4", "-0.75"),
        ("1 1/2 cups", "1.5"),
        ("1/0", "1"),
        (".5", "0.5"),
        ("2.5e3", "2500"),
        ("\uff11\uff10", "10"),
    ],
)
def test_a_number_has_the_value_that_its_writing_says(text: str, value: str) -> None:
    assert last_number(text) == Fraction(value)


def test_a_text_without_digits_has_no_number() -> None:
    assert last_number("none at all") is None


@given(st.integers(), st.sampled_from(",'\u2019\u00a0\u2009\u202f"))
def test_thousands_may_be_parted_in_any_usual_way(number: int, mark: str) -> None:
    written = f"{number:,}".replace(",", mark)
    assert last_number(f"first 7, then {written}.") == number


@given(st.integers(min_value=1000), st.integers(min_value=0, max_value=99), st.booleans())
def test_a_decimal_comma_is_read_where_dots_part_thousands(
    whole: int, cents: int, sign: bool
) -> None:
    value = Fraction(f"{whole}.{cents:02}") * (-1 if sign else 1)
    english = f"{'-' * sign}{whole:,}.{cents:02}"
    european = english.translate(str.maketrans(",.", ".,"))
    assert last_number(english) == last_number(european) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9))
def test_what_python_writes_is_read_as_it_was(number: object) -> None:
    written = f"{number:f}"
    assert last_number(f"= {written}") == Fraction(written)


@given(st.text(alphabet="0123456789.,-/ '$%e\u00a0"))
def test_any_text_is_read_or_has_no_number(text: str) -> None:
    found = last_number(text)
    assert (found is None) == (not any(letter.isdigit() for letter in text))
