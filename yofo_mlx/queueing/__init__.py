"""The queue: runs and studies that wait, and the process that makes one after another."""

__all__ = ["book", "changes", "grid", "studies", "worker"]
