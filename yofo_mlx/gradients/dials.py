"""The two dials of chunked training: chunk length and stash interval."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dials:
    """How an episode is cut: `chunk` tokens at a time, and what is stashed of its layers.

    Layers are recomputed together in groups of at most `stash`; only a group's input is kept from
    the forward pass. 1 stashes every layer's input, about the root of the number of layers
    stashes least, and the number of layers (or more) keeps everything and recomputes nothing.
    """

    chunk: int
    stash: int

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.stash < 1:
            raise ValueError(f"chunk and stash must be at least 1, not {self.chunk}, {self.stash}")


def groups(layers: int, stash: int) -> list[range]:
    """Cut layers into groups of at most `stash`, longer ones first, so that least is kept.

    While group i is differentiated, i + 1 group inputs are kept and two arrays for each layer of
    it (input, attention). The last group meets all inputs, so it has to be the shortest. Returned
    is the greediest cut under the lowest ceiling of i + 2 * size that covers all layers.
    """
    if stash >= layers:
        return [range(layers)]
    ceiling = 3
    while sum(sizes := _sizes(ceiling, stash)) < layers:
        ceiling += 1
    result, start = [], 0
    for size in sizes:
        result.append(range(start, min(start + size, layers)))
        start += size
        if start >= layers:
            break
    return result


def _sizes(ceiling: int, stash: int) -> list[int]:
    return [min(stash, (ceiling - place) // 2) for place in range(1, ceiling - 1)]
