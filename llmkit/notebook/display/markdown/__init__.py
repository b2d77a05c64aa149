"""Markdown from a model to HTML that cannot run; pure."""
