"""The figures of a run's event stream, written where other trackers read them."""

__all__ = ["choosing", "feeding"]
