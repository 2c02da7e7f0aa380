"""How much memory Metal may keep from being paged out."""

import mlx.core as mx

# Chosen. At the whole recommendation machines hung or panicked (mlx issues 2006 and 3186).
WIRED_SHARE = 0.8


def keep_below(limit: int | None = None) -> None:
    """Set the wired limit below what Metal recommends, to `limit` if that is less; else nothing.

    mlx-lm's generators set it to all that is recommended. Not tried on a Mac yet.
    """
    if not mx.metal.is_available():
        return
    recommended = int(mx.device_info()["max_recommended_working_set_size"])
    share = int(recommended * WIRED_SHARE)
    mx.set_wired_limit(share if limit is None else min(limit, share))
