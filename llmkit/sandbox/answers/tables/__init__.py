"""Answers about a table in the question: a card from `-v`, or the text of a DataFrame."""
