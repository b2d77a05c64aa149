"""Repricing, correction and reconciliation of calls."""
