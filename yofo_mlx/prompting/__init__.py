"""Demonstrations in the context: the session process, its client, and what they are made of."""
