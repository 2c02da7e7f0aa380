"""Preview: what a recipe in the making would train and need, as facts."""

__all__ = ["episode", "plan"]
