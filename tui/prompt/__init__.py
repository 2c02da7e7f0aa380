"""The place of prompting: demonstrations, questions and answers."""

__all__ = ["screen"]
