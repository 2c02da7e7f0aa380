"""On Metal, what MLX may keep from being paged out stays below the recommendation."""

import mlx.core as mx
import pytest

from yofo_mlx.system.wired import keep_below

GB = 10**9


@pytest.mark.parametrize(
    ("planned", "wired"), [(None, 80 * GB), (100 * GB, 80 * GB), (30 * GB, 30 * GB)]
)
def test_the_wired_limit_is_what_was_planned_but_never_all_that_is_recommended(
    planned: int | None, wired: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(mx.metal, "is_available", lambda: True)
    monkeypatch.setattr(mx, "device_info", lambda: {"max_recommended_working_set_size": 100 * GB})
    monkeypatch.setattr(mx, "set_wired_limit", told.append)
    keep_below(planned)
    assert told == [wired]


def test_where_there_is_no_metal_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx.metal, "is_available", lambda: False)
    monkeypatch.setattr(mx, "set_wired_limit", lambda limit: pytest.fail("it was set"))
    keep_below(10 * GB)
