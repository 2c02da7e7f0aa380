"""Moments, as a person would say them."""

import time

DAY_S = 86_400


def moment(when: float, now: float | None = None) -> str:
    """Return 13:02 of today, Tue 21:40 of the days around, else 12 Nov or 2024-11-12."""
    now = time.time() if now is None else now
    then, today = time.localtime(when), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    if abs(now - when) < 6 * DAY_S:
        return time.strftime("%a %H:%M", then)
    if then.tm_year == today.tm_year:
        return f"{then.tm_mday} {time.strftime('%b', then)}"
    return time.strftime("%Y-%m-%d", then)
