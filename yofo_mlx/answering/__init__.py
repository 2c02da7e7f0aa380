"""A file of queries answered row by row: read, asked, written whole, gone on with after any end."""

__all__ = ["asking", "job", "output", "queries", "summary"]
