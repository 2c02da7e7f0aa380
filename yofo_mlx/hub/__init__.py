"""The hub: files of models and data sets, downloaded within limits of time and told in words."""

__all__ = ["cached", "client", "contents", "errors", "searching", "snapshot"]
