"""Replay: answers that are recorded once and played back."""
