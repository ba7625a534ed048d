"""Validation: one file per module; a rule is a small function that yields findings."""
