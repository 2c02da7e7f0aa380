"""The queue: runs that wait to be trained, and the process that trains one after another."""

__all__ = ["book", "changes", "grid", "worker"]
