"""Rehearsal: training targets in the base model's own words, where a judge accepts them."""

__all__ = ["asker", "outcome", "rationales", "rehearse", "settings", "store", "tables"]
