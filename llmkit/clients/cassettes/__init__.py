"""Replay: recording and replaying answers."""
