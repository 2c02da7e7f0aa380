"""Runs and pinned demonstrations behind an HTTP server that clients of OpenAI's interface know."""

__all__ = ["engine", "gate", "models", "server"]
