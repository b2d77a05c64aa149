"""Budgets: their arithmetic, the guard that reserves before a call, the alerts."""
