"""The embedded suite: skills and tasks in words that the embedded model knows."""
