"""Arithmetic, units, dates and statistics."""
