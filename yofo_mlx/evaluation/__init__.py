"""Evaluation: accuracy by shots, base against adapter."""
