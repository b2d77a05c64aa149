"""Codecs: pure functions that convert between our types and one wire format each."""
