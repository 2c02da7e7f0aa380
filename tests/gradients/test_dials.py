"""Cutting layers into groups: everything once, in order, and no more kept than needed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yofo_mlx.gradients.dials import Dials, groups

LAYERS = st.integers(1, 130)
STASH = st.integers(1, 140)


def kept(sizes: list[int]) -> int:
    """Count what is kept at the worst moment: group inputs, and two arrays for each layer."""
    return max(place + 2 * size for place, size in enumerate(sizes))


def kept_by(layers: int, stash: int) -> int:
    return kept([len(group) for group in groups(layers, stash)])


def cuts(layers: int, stash: int) -> list[list[int]]:
    """Return every way to cut layers into groups of at most `stash`."""
    if layers == 0:
        return [[]]
    return [
        [first, *rest]
        for first in range(1, min(layers, stash) + 1)
        for rest in cuts(layers - first, stash)
    ]


@given(LAYERS, STASH)
def test_groups_hold_every_layer_once_and_in_order(layers: int, stash: int) -> None:
    assert [layer for group in groups(layers, stash) for layer in group] == list(range(layers))


@given(LAYERS, STASH)
def test_no_group_is_empty_or_longer_than_the_dial(layers: int, stash: int) -> None:
    assert all(1 <= len(group) <= stash for group in groups(layers, stash))


@given(LAYERS, STASH)
def test_no_group_is_longer_than_the_one_before_it(layers: int, stash: int) -> None:
    assert all(len(one) >= len(two) for one, two in pairwise(groups(layers, stash)))


@given(LAYERS, st.integers(0, 50))
def test_a_dial_of_all_layers_or_more_keeps_them_in_one_group(layers: int, more: int) -> None:
    assert groups(layers, layers + more) == [range(layers)]


@given(LAYERS)
def test_a_dial_of_one_stashes_every_layers_input(layers: int) -> None:
    assert groups(layers, 1) == [range(layer, layer + 1) for layer in range(layers)]


@given(LAYERS, STASH)
def test_no_more_is_kept_than_with_even_groups_of_the_same_length(layers: int, stash: int) -> None:
    whole, rest = divmod(layers, stash)
    sizes = [min(stash, layers)] * whole + [rest] * bool(rest)
    assert kept_by(layers, stash) <= kept(sizes)


@pytest.mark.parametrize("layers", range(1, 11))
def test_unless_all_is_kept_no_cut_keeps_less(layers: int) -> None:
    for stash in range(1, layers):
        assert kept_by(layers, stash) == min(kept(sizes) for sizes in cuts(layers, stash))


@given(st.integers(2, 130))
def test_the_best_dial_keeps_about_the_root_of_the_layers(layers: int) -> None:
    least = min(kept_by(layers, stash) for stash in range(1, layers + 1))
    assert least <= 2 * layers**0.5 + 2


@pytest.mark.parametrize(("chunk", "stash"), [(0, 1), (1, 0), (-5, 1), (1, -5), (0, 0)])
def test_dials_below_one_are_refused(chunk: int, stash: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, not {chunk}, {stash}"):
        Dials(chunk, stash)
