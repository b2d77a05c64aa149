"""Calls of our own clients: attempts, deadlines, retries and reading the response."""
